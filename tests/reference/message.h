/* message.h - protobuf messages written field by field, right or wrong, for tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_TESTS_MESSAGE_H
#define RW_TESTS_MESSAGE_H

#include "base/buf.h"

/* A message of its own, empty. */
struct buf message_empty(void);

void message_varint(struct buf *, unsigned field, uint64_t);
void message_64(struct buf *, unsigned field, uint64_t);
void message_32(struct buf *, unsigned field, uint32_t);
void message_double(struct buf *, unsigned field, double);
void message_bytes(struct buf *, unsigned field, struct bytes);
void message_string(struct buf *, unsigned field, const char *);
/* The message, which this empties and frees. */
void message_sub(struct buf *, unsigned field, struct buf *taken);
/* Packed. */
void message_packed(struct buf *, unsigned field, const uint64_t *, size_t n);

/* What both messages have. */
void message_sample(struct buf *series, unsigned field, double, int64_t ms);
void message_label(struct buf *series, const char *name, const char *value);

#endif
