/* process.h - what the kernel says of this process, under the names that
 * Prometheus' own clients use.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_ADMIN_PROCESS_H
#define RW_ADMIN_PROCESS_H

#include "base/buf.h"

/* Appends metrics in text format; what cannot be read is left out. */
void process_render(struct buf *);

#endif
