/* test_tokenizer_end.c -- which token ends a document: by the files beside tokenizer.json, by name, by request */
#include "kinds.h"

static const char three_ends[] = ", {\"id\": 426, \"content\": \"<|im_end|>\", \"special\": true}, {\"id\": 427, "
                                 "\"content\": \"<fin>\", \"special\": true}";

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(pha__write_file(path, text, strlen(text)));
}

static void expect_end(const char *folder, int32_t id, const char *from)
{
    pha__tokenizer *t;
    char path[300];
    OK(pha__tokenizer_open(&t, folder));
    assert_int_equal(pha__tokenizer_eot(t), id);
    assert_string_equal(pha__tokenizer_end_from(t), from);
    pha__tokenizer_close(t);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder); /* the file alone knows what is beside it */
    OK(pha__tokenizer_open(&t, path));
    assert_int_equal(pha__tokenizer_eot(t), id);
    pha__tokenizer_close(t);
}

/* Each file beside a tokenizer.json says it if those before it don't. */
static void end_token(void **state)
{
    (void)state;
    char folder[256], saved[300];
    pha__tokenizer *t;
    kind k = *find_kind("gpt2");
    k.added = three_ends;
    check_folder(folder);
    pha__str s = write_json(&k);
    put_file(folder, "tokenizer.json", s.data);
    pha__str_free(&s);
    expect_end(folder, 425, "its name");
    put_file(folder, "config.json", "{\"eos_token_id\": 426}");
    expect_end(folder, 426, "config.json");
    put_file(folder, "generation_config.json", "{\"eos_token_id\": [427, 426]}");
    expect_end(folder, 427, "generation_config.json");
    put_file(folder, "special_tokens_map.json", "{\"eos_token\": {\"content\": \"<|im_end|>\", \"lstrip\": false}}");
    expect_end(folder, 426, "special_tokens_map.json");
    put_file(folder, "tokenizer_config.json", /* as transformers writes where no length is known */
             "{\"eos_token\": \"<fin>\", \"model_max_length\": 1000000000000000019884624838656}");
    expect_end(folder, 427, "tokenizer_config.json");
    OK(pha__tokenizer_open(&t, folder));
    snprintf(saved, sizeof saved, "%s/saved", folder);
    OK(pha__mkdirs(saved));
    OK(pha__tokenizer_save_folder(t, saved)); /* it goes on with the tokenizer */
    pha__tokenizer_close(t);
    expect_end(saved, 427, "tokenizer_config.json");
    put_file(folder, "tokenizer_config.json", "{\"eos_token\": \"<nowhere>\"}");
    put_file(folder, "special_tokens_map.json", "{");
    put_file(folder, "generation_config.json", "{\"eos_token_id\": 4294967723}"); /* 2^32 + 427 */
    expect_end(folder, 426, "config.json"); /* with warnings */
    OK(pha__remove_tree(folder));
}

static void end_token_by_name(void **state)
{
    (void)state;
    pha__tokenizer *t;
    kind k = *find_kind("gpt2");
    pha__str s = write_json(&k);
    char *name;
    while ((name = strstr(s.data, "<|endoftext|>"))) memcpy(name, "<|whatever-|>", 13);
    OK(pha__tokenizer_parse(&t, s.data, s.size, "t"));
    assert_int_equal(pha__tokenizer_eot(t), -1);
    assert_string_equal(pha__tokenizer_end_from(t), "");
    FAILS(USAGE, "'<eos>' is no token", pha__tokenizer_set_end(t, "<eos>", "--end-token"));
    OK(pha__tokenizer_set_end(t, "<|whatever-|>", "--end-token"));
    assert_int_equal(pha__tokenizer_eot(t), 425);
    OK(pha__tokenizer_set_end(t, "aB", "--end-token")); /* of the vocabulary */
    assert_int_equal(pha__tokenizer_eot(t), 257);
    FAILS(USAGE, "valid UTF-8", pha__tokenizer_set_end(t, "\303", "--end-token"));
    assert_int_equal(pha__tokenizer_eot(t), 257);
    pha__tokenizer_close(t);
    pha__str_free(&s);
    k.added = ", {\"id\": 426, \"content\": \"</s>\", \"special\": true}";
    OK(load(&t, &k));
    assert_int_equal(pha__tokenizer_eot(t), 425); /* the better known one */
    pha__tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end_token),
        cmocka_unit_test(end_token_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
