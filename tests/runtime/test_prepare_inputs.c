/* What goes into which split: one file under several names, copies, streams, few documents, a split alone; and
 * what stands where the folder is to be made */
#include "runtime/data/prepare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/texts.h"

static char out[300];
static pha__str notes;

static void keep(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level;
    pha__str_printf(&notes, "%s\n", text);
}

static bool noted(const char *part) { return notes.size > 0 && strstr(notes.data, part); }

static pha__prepare_options defaults(void)
{
    pha__prepare_options o;
    pha__prepare_defaults(&o);
    o.out = out, o.tokenizer = "bytes", o.threads = 2, o.valid_fraction = o.test_fraction = 0;
    return o;
}

/* Prepares with one path per split at most; NULL: none. */
static pha_status run(pha__prepare_options o, const char *train, const char *valid, const char *test,
                      pha__prepare_result *r)
{
    o.inputs = &train, o.n_inputs = train != NULL;
    o.valid = &valid, o.n_valid = valid != NULL;
    o.test = &test, o.n_test = test != NULL;
    pha__str_clear(&notes);
    return pha__prepare(&o, r);
}

/* The text of a split, '|' for an end token; "" for a split that is not there. */
static char *split_text(const char *split)
{
    static char text[1 << 20];
    pha__tokens *t;
    static int32_t ids[1 << 20];
    text[0] = 0;
    pha__split_info info;
    if (pha__data_info(&info, out, split) != PHA_OK) return text;
    OK(pha__tokens_open(&t, out, split, true));
    size_t n = (size_t)pha__tokens_count(t);
    assert_true(n < sizeof text);
    OK(pha__tokens_read(t, 0, n, ids));
    for (size_t i = 0; i < n; i++) text[i] = ids[i] == 256 ? '|' : (char)ids[i];
    text[n] = 0;
    pha__tokens_close(t);
    return text;
}

/* ---- one file in one split ------------------------------------------------------------------------------ */

static void same_file(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    OK(pha__mkdirs(in_root("in")));
    OK(pha__mkdirs(in_root("other")));
    puts_file("in/a.txt", "the first");
    puts_file("in/b.txt", "the second");
    char a[300], b[300], folder[300], other[300];
    snprintf(a, sizeof a, "%s/in/a.txt", root);
    snprintf(b, sizeof b, "%s/in/b.txt", root);
    snprintf(folder, sizeof folder, "%s/in", root);
    snprintf(other, sizeof other, "%s/other", root);
    FAILS(BAD_INPUT, "no text for training is left", run(o, a, a, NULL, &r));
    assert_true(noted("1 file is left out of the inputs, being given for valid"));
    OK(run(o, folder, b, NULL, &r)); /* in a folder of the inputs */
    assert_string_equal(split_text("train"), "the first|");
    assert_string_equal(split_text("valid"), "the second|");
    assert_true(noted("left out of the inputs") && r.data.split[1].info.copies == 0);
    assert_int_equal(symlink(b, in_root("other/link.txt")), 0);
    OK(run(o, folder, other, NULL, &r)); /* by a link */
    assert_string_equal(split_text("train"), "the first|");
    unlink(in_root("other/link.txt"));
    assert_int_equal(link(b, in_root("other/hard.txt")), 0);
    OK(run(o, folder, other, NULL, &r)); /* by a hard link */
    assert_string_equal(split_text("train"), "the first|");
    FAILS(BAD_INPUT, "is left in the input", run(o, other, folder, NULL, &r)); /* a folder that holds all of it */
    char third[300];
    snprintf(third, sizeof third, "%s/third.txt", root);
    puts_file("third.txt", "the third");
    OK(run(o, third, folder, b, &r)); /* what is named goes before what lies in a folder */
    assert_string_equal(split_text("test"), "the second|");
    assert_string_equal(split_text("valid"), "the first|");
    FAILS(USAGE, "a file can be in one split only", run(o, a, b, b, &r));
    assert_int_equal(symlink(a, in_root("in/again.txt")), 0); /* twice in one split */
    OK(run(o, folder, NULL, NULL, &r));
    assert_string_equal(split_text("train"), "the first|the second|");
    assert_true(noted("1 file is named or linked more than once and read once"));
    const char *twice[] = {a, folder};
    o.inputs = twice, o.n_inputs = 2;
    OK(pha__prepare(&o, &r));
    assert_int_equal(r.data.split[0].info.documents, 2);
    int old = dup(STDIN_FILENO), file = open(third, O_RDONLY); /* standard input that is that file */
    assert_true(old >= 0 && file >= 0 && dup2(file, STDIN_FILENO) == STDIN_FILENO);
    FAILS(BAD_INPUT, "no text for training is left", run(o, third, "-", NULL, &r));
    assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_SET), 0);
    OK(run(o, a, "-", NULL, &r));
    assert_string_equal(split_text("valid"), "the third|");
    dup2(old, STDIN_FILENO), close(old), close(file);
}

/* Copies of a document in two splits are counted, by text and not by file. */
static void copies(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char train[300], valid[300], test[300];
    snprintf(train, sizeof train, "%s/train.jsonl", root);
    snprintf(valid, sizeof valid, "%s/valid.txt", root);
    snprintf(test, sizeof test, "%s/test.jsonl", root);
    puts_file("train.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"text\":\"one\"}\n{\"text\":\"three\"}\n");
    puts_file("valid.txt", "\n one\n");
    puts_file("test.jsonl", "{\"text\":\"two\"}\n{\"text\":\"alone\"}\n{\"text\":\"one\"}\n{\"text\":\"one\"}\n");
    OK(run(o, train, valid, test, &r));
    assert_int_equal(r.data.split[0].info.copies, 3);
    assert_int_equal(r.data.split[1].info.copies, 1);
    assert_int_equal(r.data.split[2].info.copies, 3);
    assert_true(noted("1 of the 1 documents of the valid split also lie in another split"));
    assert_true(noted("3 of the 4 documents of the test split"));
    pha__split_info read;
    OK(pha__data_info(&read, out, "test"));
    assert_int_equal(read.copies, 3);
    puts_file("train.jsonl", "{\"text\":\"One\"}\n"); /* nothing in common */
    OK(run(o, train, valid, NULL, &r));
    assert_int_equal(r.data.split[0].info.copies + r.data.split[1].info.copies, 0);
    assert_false(noted("also lie"));
    OK(run(o, train, valid, test, &r)); /* in common, but not with train */
    assert_true(r.data.split[0].info.copies == 0 && r.data.split[1].info.copies == 1);
    assert_int_equal(r.data.split[2].info.copies, 2);
    pha__str s = {0}; /* by fractions: every text three times */
    for (int i = 0; i < 600; i++) pha__str_printf(&s, "{\"text\":\"document %d\"}\n", i % 200);
    put("train.jsonl", s.data, s.size);
    o.valid_fraction = 0.2;
    OK(run(o, train, NULL, NULL, &r));
    const pha__split_info *v = &r.data.split[1].info;
    assert_true(v->copies > v->documents / 2 && noted("also lie in another split"));
    assert_true(r.data.split[0].info.copies > 50);
    pha__str_free(&s);
}

/* ---- few documents, one split --------------------------------------------------------------------------- */

static void paragraphs(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char file[300];
    snprintf(file, sizeof file, "%s/six.txt", root);
    for (int kind = 0; kind < 4; kind++) { /* paragraphs of sentences, of words; one word; one line of two words */
        pha__str s = {0};
        for (int i = 0; i < 6; i++) {
            for (int w = 0; w < 900; w++)
                pha__str_printf(&s, kind == 2 ? "\xc3\xa9" : kind == 1 ? "word%d " : w % 12 ? "word%d " : "end%d. ", w);
            if (kind < 2) pha__str_puts(&s, "\n");
        }
        if (kind == 3) pha__str_clear(&s), pha__str_puts(&s, "some text that is short");
        put("six.txt", s.data, s.size);
        o.valid_fraction = o.test_fraction = kind == 3 ? 0.3 : 0.1;
        OK(run(o, file, NULL, NULL, &r));
        assert_int_equal(r.data.n, 3);
        size_t at = 0;
        for (int i = 0; i < 3; i++) {
            char *text = split_text(pha__split_names[i]);
            size_t n = strlen(text);
            bool last = i == 2;
            if (last) text[--n] = 0; /* the end token */
            double share = (double)n / (double)s.size, wanted = i ? o.valid_fraction : 1 - 2 * o.valid_fraction;
            assert_memory_equal(text, s.data + at, n);
            assert_true(share > wanted / 2 && share < wanted * 1.5);
            if (kind == 0 && !last) assert_int_equal(text[n - 1], '.');
            if (kind == 1 && !last) assert_true(text[n - 1] != ' ' && s.data[at + n] == ' ');
            if (kind == 2) assert_int_equal(n % 2, 0); /* between two characters */
            at += n;
        }
        assert_int_equal(at, s.size);
        pha__str_free(&s);
    }
}

/* Few documents are kept whole where the shares allow it, and no split is left with next to nothing. */
static void few_documents(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char file[300];
    snprintf(file, sizeof file, "%s/few.jsonl", root);
    pha__str s = {0};
    for (int i = 0; i < 21; i++) pha__str_printf(&s, "{\"text\":\"document %d has a text\\n and a line\"}\n", 10 + i);
    put("few.jsonl", s.data, s.size);
    o.valid_fraction = o.test_fraction = 0.1;
    for (o.seed = 0; o.seed < 20; o.seed++) {
        OK(run(o, file, NULL, NULL, &r));
        uint64_t documents = 0;
        for (int i = 0; i < 3; i++) {
            assert_true(r.data.split[i].info.documents >= 1);
            documents += r.data.split[i].info.documents;
        }
        assert_int_equal(documents, 21); /* none is cut */
    }
    pha__str_puts(&s, "{\"text\":\""); /* and one that is most of the text */
    for (int i = 0; i < 2000; i++) pha__str_puts(&s, "many words ");
    pha__str_puts(&s, "\"}\n");
    put("few.jsonl", s.data, s.size);
    for (o.seed = 0; o.seed < 20; o.seed++) {
        OK(run(o, file, NULL, NULL, &r));
        for (int i = 0; i < 3; i++) {
            double share = (double)r.data.split[i].info.bytes / 22800;
            assert_true(share > 0.02);
        }
    }
    pha__str_free(&s);
}

/* A split by itself: a test text for a model that there is. */
static void alone(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char file[300];
    snprintf(file, sizeof file, "%s/t.txt", root);
    puts_file("t.txt", "only to be measured\n");
    o.test_fraction = 1;
    OK(run(o, file, NULL, NULL, &r));
    assert_true(r.data.n == 1 && !strcmp(r.data.split[0].name, "test"));
    assert_string_equal(split_text("test"), "only to be measured\n|");
    o.test_fraction = 0, o.valid_fraction = 0.1; /* of no inputs */
    OK(run(o, NULL, NULL, file, &r));
    assert_string_equal(split_text("test"), "only to be measured\n|");
    puts_file("t.txt", "a");
    OK(run(o, NULL, NULL, file, &r));
    assert_string_equal(split_text("test"), "a|");
    o.valid_fraction = 0;
    OK(run(o, file, NULL, NULL, &r));
    assert_string_equal(split_text("train"), "a|");
    puts_file("t.txt", "only to be measured\n");
    o.valid_fraction = 0.7, o.test_fraction = 0.3; /* whose sum isn't quite 1 */
    OK(run(o, file, NULL, NULL, &r));
    assert_int_equal(r.data.n, 2);
    o.tokenizer = "train", o.vocab_size = 300;
    FAILS(USAGE, "no text to train a vocabulary on", run(o, file, NULL, NULL, &r));
}

/* What the first token stands for: it is never a target. */
static void first_token(void **state)
{
    (void)state;
    static const struct { const char *text; uint64_t words; } cases[] = {
        {"a b", 1}, {"ab c", 0}, {"\na", 1}, {" a", 0}, {"a", 1},
    };
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char file[300];
    snprintf(file, sizeof file, "%s/t.txt", root);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s%s", cases[i].text, i == 4 ? "\n" : " and more");
        puts_file("t.txt", text);
        OK(run(o, NULL, file, NULL, &r));
        assert_int_equal(r.data.split[0].info.first_bytes, 1);
        assert_int_equal(r.data.split[0].info.first_words, cases[i].words);
        assert_int_equal(r.data.end_token, 256);
    }
    o.join = PHA__JOIN_NONE;
    OK(run(o, NULL, file, NULL, &r));
    assert_int_equal(r.data.end_token, -1);
}

/* ---- the sample ----------------------------------------------------------------------------------------- */

static void sample_in_prepare(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char file[300];
    snprintf(file, sizeof file, "%s/big.txt", root);
    pha__str s = {0};
    for (int i = 0; i < 150000; i++) pha__str_printf(&s, "w%d ", i * 7919 % 10007);
    put("big.txt", s.data, s.size);
    o.tokenizer = "train", o.vocab_size = 300, o.train_bytes = 100000;
    for (o.seed = 0; o.seed < 5; o.seed++) {
        OK(run(o, file, NULL, NULL, &r));
        assert_true(r.sampled > 90000 && r.sampled < 110000 && r.data.vocab_size == 300);
    }
    pha__str_free(&s);
}

/* ---- streams -------------------------------------------------------------------------------------------- */

static void streams(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\":\"one\"}\n{\"text\":\"two\"}\n";
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char pipe_path[300];
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe.jsonl", root);
    puts_file("lines", lines);
    int old = dup(STDIN_FILENO), file = open(in_root("lines"), O_RDONLY);
    assert_true(old >= 0 && file >= 0 && dup2(file, STDIN_FILENO) == STDIN_FILENO);
    OK(run(o, "-", NULL, NULL, &r)); /* read twice, though it can't be */
    assert_string_equal(split_text("train"), "one|two|");
    assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_SET), 0);
    FAILS(USAGE, "can be read once only", run(o, "-", "-", NULL, &r));
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(pipe_path, O_WRONLY);
        _exit(write(fd, lines, sizeof lines - 1) != sizeof lines - 1);
    }
    OK(run(o, pipe_path, NULL, NULL, &r));
    assert_string_equal(split_text("train"), "one|two|");
    waitpid(child, NULL, 0);
    puts_file("lines", "{\"text\":\"one\"}\n{\"text\":\n");
    close(file);
    file = open(in_root("lines"), O_RDONLY);
    assert_int_equal(dup2(file, STDIN_FILENO), STDIN_FILENO);
    FAILS(BAD_INPUT, "standard input:2: not JSON", run(o, "-", NULL, NULL, &r));
    char partial[300];
    snprintf(partial, sizeof partial, "%s/.out.partial", root);
    assert_false(pha__exists(partial));
    char **names;
    size_t n;
    OK(pha__list_dir(&names, &n, out)); /* no copy is left in the result */
    assert_int_equal(n, 3);
    pha__free_list(names, n);
    dup2(old, STDIN_FILENO);
    close(old), close(file);
}

/* ---- where the folder is made --------------------------------------------------------------------------- */

static void foreign(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    fresh();
    char file[300];
    snprintf(file, sizeof file, "%s/t.txt", root);
    puts_file("t.txt", "some text\n");
    static const char *const theirs[] = {"thesis.tex", "train-1.tok", "tokenizer.json", "train-00000.tok",
                                         "input-a.spool"};
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) { /* names like ours are not enough */
        char name[100];
        snprintf(name, sizeof name, ".out.partial/%s", theirs[i]);
        OK(pha__mkdirs(in_root(".out.partial")));
        puts_file(name, "dear to somebody");
        FAILS(USAGE, ".out.partial: is in the way", run(o, file, NULL, NULL, &r));
        assert_int_equal(pha__file_size(in_root(name)), 16);
        OK(pha__remove_tree(in_root(".out.partial")));
    }
    OK(pha__mkdirs(in_root(".out.partial")));
    assert_int_equal(mkfifo(in_root(".out.partial/train-00000.tok"), 0600), 0);
    alarm(60); /* a pipe to which nobody writes isn't waited for */
    FAILS(USAGE, ".out.partial: is in the way", run(o, file, NULL, NULL, &r));
    alarm(0);
    OK(pha__remove_tree(in_root(".out.partial")));
    puts_file(".out.partial", "a file");
    FAILS(USAGE, "is in the way", run(o, file, NULL, NULL, &r));
    assert_int_equal(pha__file_size(in_root(".out.partial")), 6);
    unlink(in_root(".out.partial"));
    OK(pha__mkdirs(in_root("elsewhere")));
    assert_int_equal(symlink("elsewhere", in_root(".out.partial")), 0);
    FAILS(USAGE, "is in the way", run(o, file, NULL, NULL, &r));
    unlink(in_root(".out.partial"));
    OK(run(o, file, NULL, NULL, &r)); /* and what is ours goes: a whole folder, one with a marker, an empty one */
    OK(rename(out, in_root(".out.partial")) == 0 ? PHA_OK : PHA_IO);
    OK(run(o, file, NULL, NULL, &r));
    OK(pha__mkdirs(in_root(".out.partial")));
    puts_file(".out.partial/prepare.partial", "");
    puts_file(".out.partial/.input-0.spool.pha-tmp", "half");
    puts_file(".out.partial/.train-00000.tok.pha-tmp", "half");
    OK(run(o, file, NULL, NULL, &r));
    OK(pha__mkdirs(in_root(".out.partial")));
    puts_file(".out.partial/.prepare.partial.pha-tmp", ""); /* killed at its first file */
    OK(run(o, file, NULL, NULL, &r));
    OK(pha__mkdirs(in_root(".out.partial")));
    OK(run(o, file, NULL, NULL, &r));
    assert_false(pha__exists(in_root(".out.partial")));
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(out, sizeof out, "%s/out", root);
    pha__log_to(keep, NULL);
    return 0;
}

static int teardown(void **state)
{
    pha__str_free(&notes);
    pha__log_to(NULL, NULL);
    return root_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_file),     cmocka_unit_test(copies),        cmocka_unit_test(streams),
        cmocka_unit_test(paragraphs),    cmocka_unit_test(alone),  cmocka_unit_test(few_documents),
        cmocka_unit_test(first_token),   cmocka_unit_test(foreign), cmocka_unit_test(sample_in_prepare),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
