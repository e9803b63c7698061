/* test_events.c -- TensorBoard event files are decoded again, byte by byte; checksums against published vectors */
#include "runtime/train/events.h"
#include "base/json.h"
#include "runtime/train/runlog.h"
#include "support/root.h"

static void crc_vectors(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++) up[i] = (unsigned char)i;
    assert_int_equal(pha__crc32c("123456789", 9), 0xE3069283u);
    assert_int_equal(pha__crc32c("", 0), 0);
    assert_int_equal(pha__crc32c(zeros, 32), 0x8A9136AAu); /* RFC 3720, B.4 */
    assert_int_equal(pha__crc32c(ones, 32), 0x62A8AB43u);
    assert_int_equal(pha__crc32c(up, 32), 0x46DD794Eu);
    assert_int_equal(pha__crc32c_masked("123456789", 9), ((0xE3069283u >> 15 | 0xE3069283u << 17) + 0xa282ead8u));
}

/* ---- a reader of protobuf ------------------------------------------------------------------------------- */

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

static uint64_t fixed(cursor *c, int n)
{
    uint64_t v = 0;
    assert_true(c->end - c->at >= n);
    for (int i = 0; i < n; i++) v |= (uint64_t)*c->at++ << (8 * i);
    return v;
}

static uint64_t varint(cursor *c)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        unsigned char b = (unsigned char)fixed(c, 1);
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128) return v;
    }
    fail_msg("a varint without end");
    return 0;
}

static cursor inner(cursor *c)
{
    uint64_t n = varint(c);
    assert_true((uint64_t)(c->end - c->at) >= n);
    cursor in = {c->at, c->at + n};
    c->at += n;
    return in;
}

typedef struct event {
    double wall_time;
    int64_t step;
    char version[32], tag[256];
    float value;
} event;

static void read_value(cursor c, event *e)
{
    while (c.at < c.end) {
        uint64_t key = varint(&c);
        if (key == (1 << 3 | 2)) {
            cursor s = inner(&c);
            assert_true((size_t)(s.end - s.at) < sizeof e->tag);
            memcpy(e->tag, s.at, (size_t)(s.end - s.at));
        } else if (key == (2 << 3 | 5)) {
            uint32_t bits = (uint32_t)fixed(&c, 4);
            memcpy(&e->value, &bits, 4);
        } else {
            fail_msg("unknown field %d of Value", (int)key);
        }
    }
}

static event read_event(cursor c)
{
    event e = {0};
    while (c.at < c.end) {
        uint64_t key = varint(&c);
        if (key == (1 << 3 | 1)) {
            uint64_t bits = fixed(&c, 8);
            memcpy(&e.wall_time, &bits, 8);
        } else if (key == (2 << 3 | 0)) {
            e.step = (int64_t)varint(&c);
        } else if (key == (3 << 3 | 2)) {
            cursor s = inner(&c);
            memcpy(e.version, s.at, (size_t)(s.end - s.at));
        } else if (key == (5 << 3 | 2)) {
            cursor summary = inner(&c);
            assert_int_equal(varint(&summary), 1 << 3 | 2);
            read_value(inner(&summary), &e);
            assert_ptr_equal(summary.at, summary.end);
        } else {
            fail_msg("unknown field %d of Event", (int)key);
        }
    }
    return e;
}

/* The next record of the file, its two checksums tested. */
static event next(cursor *c)
{
    const unsigned char *start = c->at;
    uint64_t size = fixed(c, 8);
    assert_int_equal(fixed(c, 4), pha__crc32c_masked(start, 8));
    cursor data = {c->at, c->at + size};
    assert_true(data.end <= c->end);
    c->at += size;
    assert_int_equal(fixed(c, 4), pha__crc32c_masked(data.at, size));
    return read_event(data);
}

static void read_back(void **state)
{
    (void)state;
    pha__events *e;
    char **names, tag[300], *path;
    size_t n;
    pha__map map;
    int written = 3000; /* several buffers */
    assert_int_equal(pha__events_open(&e, root), PHA_OK);
    uint64_t allocations = pha__mem_count();
    for (int i = 0; i < written; i++)
        assert_int_equal(pha__events_scalar(e, "train/loss", (int64_t)i << 20, 1.5e9 + i, 0.25 * i), PHA_OK);
    assert_int_equal(pha__mem_count(), allocations);
    memset(tag, 'x', sizeof tag - 1);
    tag[sizeof tag - 1] = 0;
    assert_int_equal(pha__events_scalar(e, tag, -1, 0, 1), PHA_OK);
    assert_int_equal(pha__events_close(e), PHA_OK);
    assert_int_equal(pha__list_dir(&names, &n, root), PHA_OK);
    assert_int_equal(n, 1);
    assert_memory_equal(names[0], "events.out.tfevents.", 20);
    path = pha__path_join(root, names[0]);
    assert_int_equal(pha__map_open(&map, path), PHA_OK);
    cursor c = {map.data, map.data + map.size};
    assert_string_equal(next(&c).version, "brain.Event:2");
    for (int i = 0; i < written; i++) {
        event one = next(&c);
        assert_string_equal(one.tag, "train/loss");
        assert_int_equal(one.step, (int64_t)i << 20);
        assert_true(one.wall_time == 1.5e9 + i && one.value == 0.25f * (float)i);
    }
    event last = next(&c);
    assert_int_equal(strlen(last.tag), 200);
    assert_int_equal(last.step, -1);
    assert_ptr_equal(c.at, c.end);
    pha__map_close(&map);
    pha__free(path);
    pha__free_list(names, n);
}

static void bad_folder(void **state)
{
    (void)state;
    pha__events *e = (void *)1;
    assert_int_equal(pha__events_open(&e, "/nonexistent/folder"), PHA_IO);
    assert_null(e);
    assert_int_equal(pha__events_close(NULL), PHA_OK);
}

static void log_lines(void **state)
{
    (void)state;
    pha__runlog *log;
    char *path = pha__path_join(root, "log.jsonl"), *text;
    size_t size;
    assert_int_equal(pha__write_file(path, "{\"a\":1}\n{\"to", 12), PHA_OK); /* torn by a crash */
    assert_int_equal(pha__runlog_open(&log, root), PHA_OK);
    assert_int_equal(pha__runlog_add(log, json_pack("{s:s, s:o, s:o}", "event", "s\n\"", "x", pha__json_decimal(0.5),
                                                    "y", pha__json_decimal(0.0 / 0.0))),
                     PHA_OK);
    assert_int_equal(pha__runlog_add(log, NULL), PHA_NO_MEMORY);
    pha__runlog_close(log);
    assert_int_equal(pha__read_file(&text, &size, path, 1000), PHA_OK);
    assert_string_equal(text, "{\"a\":1}\n{\"to\n{\"event\":\"s\\n\\\"\",\"x\":0.5,\"y\":null}\n");
    pha__free(text);
    pha__free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_vectors),
        cmocka_unit_test_setup_teardown(read_back, root_setup, root_teardown),
        cmocka_unit_test(bad_folder),
        cmocka_unit_test_setup_teardown(log_lines, root_setup, root_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
