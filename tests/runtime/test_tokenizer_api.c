/* The small public functions: tokenizers, the allocator, the receiver of notes */
#include "base/log.h"
#include "base/mem.h"
#include "support/check.h"

static void tokenizer(void **state)
{
    (void)state;
    static const char text[] = "caf\xc3\xa9 <|endoftext|>\0z\xff";
    const size_t size = sizeof text - 1;
    pha_tokenizer *t;
    int32_t *ids;
    size_t n, back_size;
    char *back;
    OK(pha_tokenizer_open(&t, "bytes"));
    assert_int_equal(pha_tokenizer_size(t), 257);
    assert_int_equal(pha_tokenizer_end(t), 256);
    assert_true(pha_tokenizer_hash(t) != 0);
    for (int special = 0; special < 2; special++) {
        OK(pha_tokenizer_encode(t, text, size, special, &ids, &n));
        assert_int_equal(n, special ? size - 12 : size);
        if (special) assert_int_equal(ids[6], 256);
        OK(pha_tokenizer_decode(t, ids, n, &back, &back_size));
        assert_int_equal(back_size, size);
        assert_memory_equal(back, text, size + 1);
        pha_free(ids);
        pha_free(back);
    }
    OK(pha_tokenizer_encode(t, "", 0, false, &ids, &n));
    assert_int_equal(n, 0);
    OK(pha_tokenizer_decode(t, ids, n, &back, &back_size));
    assert_string_equal(back, "");
    pha_free(ids);
    pha_free(back);
    static const int32_t outside[] = {257, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        char message[40];
        snprintf(message, sizeof message, "token 1 has the id %d", (int)outside[i]);
        FAILS(BAD_INPUT, message, pha_tokenizer_decode(t, (int32_t[]){1, outside[i]}, 2, &back, &back_size));
        assert_null(back);
        assert_int_equal(back_size, 0);
    }
    FAILS(USAGE, "no text", pha_tokenizer_encode(t, NULL, 1, false, &ids, &n));
    pha_tokenizer_close(t);
    pha_tokenizer_close(NULL);
    FAILS(USAGE, "path", pha_tokenizer_open(&t, NULL));
    FAILS(IO, "absent", pha_tokenizer_open(&t, "/absent/absent"));
    assert_null(t);
}

static int allocations, frees, notes;

static void *count_alloc(void *context, size_t size, size_t align)
{
    assert_ptr_equal(context, &allocations);
    allocations++;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void count_free(void *context, void *memory)
{
    assert_ptr_equal(context, &allocations);
    frees++;
    free(memory);
}

static void on_note(void *context, int level, const char *message)
{
    assert_ptr_equal(context, &notes);
    assert_int_equal(level, 0);
    assert_non_null(strstr(message, "allocator"));
    notes++;
}

static void process(void **state)
{
    (void)state;
    const pha_allocator mine = {count_alloc, count_free, &allocations};
    pha_tokenizer *t;
    pha_set_log(on_note, &notes);
    pha_set_allocator(&mine);
    OK(pha_tokenizer_open(&t, "bytes"));
    pha_set_allocator(NULL); /* too late: a note, and the allocator stays */
    assert_int_equal(notes, 1);
    pha_tokenizer_close(t);
    assert_true(allocations > 0 && allocations == frees);
    pha_set_allocator(NULL);
    int before = allocations;
    OK(pha_tokenizer_open(&t, "bytes"));
    pha_tokenizer_close(t);
    assert_int_equal(allocations, before);
    pha_set_allocator(&(pha_allocator){.alloc = count_alloc});
    assert_int_equal(notes, 2);
    pha_set_log(NULL, NULL);
    pha_free(NULL);
    assert_true(strlen(pha_isa()) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tokenizer), cmocka_unit_test(process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
