/* directive.c - the rows of directive.tbl, with where their values go.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config/directive.h"

#include "config/check.h"
#include "config/config.h"

/* The struct that the fields of a section are in. */
#define IN_top struct config
#define IN_listen struct config_listen
#define IN_admin struct config_admin
#define IN_spool struct spool_opts
#define IN_upstream struct config_upstream
#define IN_oauth2 struct config_upstream
#define IN_edge struct config_edge
#define IN_relabel struct config_relabel

const struct directive directives[] = {
#define DIRECTIVE(section_, name_, type_, field_, usual_, low_, high_, check_) \
	{                                                                      \
		.section = #section_,                                          \
		.name = #name_,                                                \
		.type = VALUE_##type_,                                         \
		.usual = usual_,                                               \
		.low = low_,                                                   \
		.high = high_,                                                 \
		.check = check_,                                               \
		.offset = offsetof(IN_##section_, field_),                     \
		.size = sizeof(((IN_##section_ *)NULL)->field_),               \
	},
#include "config/directive.tbl"
#undef DIRECTIVE
};

const size_t directives_n = sizeof(directives) / sizeof(directives[0]);
