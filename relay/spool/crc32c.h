/* crc32c.h - the Castagnoli checksum, by the processor where it can.
 * SPDX-License-Identifier: Apache-2.0
 *
 * crc32c(0, p, n) is the usual value ("123456789" gives e3069283), and
 * crc32c(crc32c(0, a), b) that of a and b in a row.  Another start than 0 makes
 * sums that only fit their place.                                           */
#ifndef RW_SPOOL_CRC32C_H
#define RW_SPOOL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Any thread. */
uint32_t crc32c(uint32_t start, const void *, size_t n);

/* The form for any processor; crc32c() takes it where there is no other. */
uint32_t crc32c_plain(uint32_t start, const void *, size_t n);

#endif
