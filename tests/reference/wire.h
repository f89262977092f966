/* wire.h - protobuf messages written field by field, right or wrong, for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_TESTS_WIRE_H
#define RW_TESTS_WIRE_H

#include "base/buf.h"

/* A message of its own, empty. */
struct buf wire_message(void);

void wire_varint(struct buf *, unsigned field, uint64_t);
void wire_64(struct buf *, unsigned field, uint64_t);
void wire_32(struct buf *, unsigned field, uint32_t);
void wire_double(struct buf *, unsigned field, double);
void wire_bytes(struct buf *, unsigned field, struct bytes);
void wire_string(struct buf *, unsigned field, const char *);
/* The message, which this empties and frees. */
void wire_sub(struct buf *, unsigned field, struct buf *taken);
/* Packed. */
void wire_packed(struct buf *, unsigned field, const uint64_t *, size_t n);

/* What both messages have. */
void wire_sample(struct buf *series, unsigned field, double, int64_t ms);
void wire_label(struct buf *series, const char *name, const char *value);

#endif
