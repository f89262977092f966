/* utf8.h - is it UTF-8, as RFC 3629 has it: shortest forms only, no surrogates,
 * nothing above U+10FFFF.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_BASE_UTF8_H
#define RW_BASE_UTF8_H

#include <stdbool.h>

#include "base/bytes.h"

bool utf8_valid(struct bytes);

#endif
