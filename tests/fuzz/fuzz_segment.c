/* fuzz_segment.c - any bytes as a segment's file, and as a cursor's.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Behind a header that passes, so that the records are reached: the input is
 * looked through as at start, as when verifying, and as a reader does.  Nothing
 * may be read past the file, and what is found must fit into it.            */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fake/disk_ram.h"
#include "spool/cursor.h"
#include "spool/recover.h"
#include "spool/scan.h"

#define DIR "/spool"
#define PATH DIR "/segment/0000000000000001.rwl"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
look(struct disk_ram *disk, bool all, uint64_t size)
{
	struct recover_finding f;

	if (recover_look(disk_ram_ops(disk), DIR, 1, all, &f) != ST_OK)
		return;
	assert(f.size == size && f.totals.end <= size);
	assert(f.totals.end + f.cut <= size && f.damaged <= size);
}

static void
scan_all(struct disk_ram *disk, uint64_t size)
{
	struct spool_record r;
	struct scan s;
	uint64_t at = FORMAT_HEADER;

	scan_init(&s, disk_ram_ops(disk));
	if (scan_open(&s, PATH, 1) == ST_OK) {
		s.end = size;
		while (scan_next(&s, &r) == ST_OK) {
			assert(r.pos.offset == at && r.next.offset > at);
			assert(r.next.offset <= size);
			at = r.next.offset;
		}
	}
	scan_fini(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct cursor_state state;
	const struct format_header h = { .number = 1, .created_ms = 5 };
	struct disk_ram *disk = disk_ram_new();
	struct cursor *cursor;
	uint8_t *raw = calloc(1, FORMAT_HEADER + n);

	log_set_level(LOG_LEVEL_ERROR);
	assert(raw);
	format_header_put(raw, &h);
	if (n)
		memcpy(raw + FORMAT_HEADER, data, n);
	disk_ram_put(disk, PATH, raw, FORMAT_HEADER + n);
	look(disk, false, FORMAT_HEADER + n);
	look(disk, true, FORMAT_HEADER + n);
	scan_all(disk, FORMAT_HEADER + n);
	disk_ram_put(disk, DIR "/cursor/a", n ? data : raw, n);
	if (cursor_open(disk_ram_ops(disk), DIR, "a", &cursor, &state) ==
	    ST_OK) {
		assert(state.n_owed <= CURSOR_OWED_MAX);
		cursor_close(&cursor);
	}
	free(raw);
	disk_ram_free(&disk);
	return 0;
}
