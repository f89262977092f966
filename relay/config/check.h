/* check.h - texts of the config file: addresses, urls, headers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * NULL if the text will do, else a sentence (static) on what is wrong.      */
#ifndef RW_CONFIG_CHECK_H
#define RW_CONFIG_CHECK_H

#include <stdbool.h>

const char *check_name(const char *);		/* of a section */
const char *check_user(const char *);		/* may be empty */
const char *check_address(const char *);
const char *check_admin_address(const char *);	/* may be empty: none */
const char *check_control(const char *);	/* likewise */
const char *check_path(const char *);
const char *check_directory(const char *);
const char *check_file(const char *);
const char *check_file_or_none(const char *);
const char *check_server_name(const char *);	/* may be empty: the url's host */
const char *check_url(const char *);
const char *check_url_or_none(const char *);
const char *check_proxy(const char *);	/* "": none */
const char *check_header(const char *);		/* "Name: value" */
const char *check_username(const char *);	/* of basic authentication; may be empty */
const char *check_client_id(const char *);	/* of OAuth2; may be empty */
const char *check_scope(const char *);
const char *check_param(const char *);		/* "NAME=VALUE" */
const char *check_network(const char *);	/* address/bits, or unix */
const char *check_edges(const char *);		/* names with * ? [...] */
const char *check_match(const char *);		/* a selector of series */
const char *check_label(const char *);		/* a label's name */
const char *check_set_label(const char *);	/* "name=value" */
const char *check_regex(const char *);
const char *check_tenant(const char *);		/* may be empty: none */
const char *check_header_name(const char *);
const char *check_utf8(const char *);		/* may be empty */

/* Whether one of two good addresses takes connections that are for the other. */
bool check_addresses_clash(const char *, const char *);

#endif
