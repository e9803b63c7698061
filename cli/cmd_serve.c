/* cmd_serve.c -- pha serve: a model over HTTP */
#include "serve/serve.h"

static int run(Call *call, void *options)
{
#ifdef PHA_SERVE
    return serve(call, options);
#else
    (void)options;
    return usage_error(call, "this build has no server: it was built without libmicrohttpd (libmicrohttpd-dev)");
#endif
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(ServeOptions, model), .arg = "DIR", .required = true,
     .help = "model folder"},
    {.name = "name", .kind = OPTION_STRING, FIELD(ServeOptions, name), .shown = "the folder's",
     .also = "alias,served-model-name", .help = "what clients call the model"},
    {.name = "chat-template", .kind = OPTION_STRING, FIELD(ServeOptions, template), .arg = "NAME|FILE",
     .shown = "the model's, or plain", .also = "template",
     .help = "how a chat becomes a text: plain, with blank lines between; chatml; a file in Jinja"},

    {.group = "Who may ask, and where", .name = "host", .kind = OPTION_STRING, FIELD(ServeOptions, host),
     .fallback = "127.0.0.1", .also = "address,bind,listen",
     .help = "address or name to listen at; beyond this machine only with keys"},
    {.name = "port", .kind = OPTION_INT, FIELD(ServeOptions, port), .fallback = "8080", .low = 0, .high = 65535,
     .help = "0 takes any that is free; the address is printed"},
    {.name = "api-key-file", .kind = OPTION_PATH, FIELD(ServeOptions, api_key_file), .also = "api-key,keys",
     .help = "keys, one a line: NAME:KEY; read again on SIGHUP"},
    {.name = "insecure", .kind = OPTION_FLAG, FIELD(ServeOptions, insecure),
     .help = "other machines may ask without a key"},
    {.name = "tls-cert", .kind = OPTION_PATH, FIELD(ServeOptions, tls_cert), .also = "ssl-certfile",
     .help = "PEM file of a certificate, for HTTPS"},
    {.name = "tls-key", .kind = OPTION_PATH, FIELD(ServeOptions, tls_key), .also = "ssl-keyfile",
     .help = "PEM file of its key"},
    {.name = "cors", .kind = OPTION_STRING, FIELD(ServeOptions, cors), .arg = "ORIGIN",
     .help = "web pages from there may read answers"},
    {.name = "limit", .kind = OPTION_LIST, FIELD(ServeOptions, limits), .arg = "NAME=N",
     .help = "another limit (may be repeated); docs/serve.md has the table"},

    {.group = "Computing", .name = "slots", .kind = OPTION_INT, FIELD(ServeOptions, slots), .fallback = "16", .low = 1,
     .high = 4096, .also = "parallel,batch,max-num-seqs", .help = "sequences that are computed at once; others wait"},
    {.name = "max-context", .kind = OPTION_INT, FIELD(ServeOptions, engine.max_context), .fallback = "4096", .low = 1,
     .high = 1 << 28, .also = "context,max-model-len", .help = "tokens that a sequence has room for"},
    {.name = "state-ram", .kind = OPTION_INT, FIELD(ServeOptions, state_ram), .arg = "MB", .fallback = "-1",
     .shown = "a quarter of what is free", .low = -1, .high = 1e8, .also = "cache-ram,prompt-cache",
     .help = "memory for texts that were read, for prompts that begin alike; 0: none"},
    OPTION_STATE_DISK(ServeOptions, state_disk, state_disk_budget),
    {.name = "device", .kind = OPTION_STRING, FIELD(ServeOptions, engine.device), .shown = "cpu",
     .help = "where to compute: cpu, cuda"},
    OPTION_WEIGHTS(ServeOptions, engine.weights),
    OPTION_CACHE(ServeOptions, engine.cache),
    OPTION_THREADS(ServeOptions, engine.threads),

    {.group = "What is said", .name = "runs", .kind = OPTION_PATH, FIELD(ServeOptions, runs), .arg = "DIR",
     .help = "a run folder, or one that holds some, that the page may show; nothing else is read"},
    {.name = "log-json", .kind = OPTION_FLAG, FIELD(ServeOptions, log_json),
     .help = "the line of each request as JSON"},
    {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, FIELD(ServeOptions, quiet), .help = "no such lines"},
    {0},
};

const Command command_serve = {
    .name = "serve",
    .summary = "answer requests over HTTP",
    .usage = "--model DIR [--port N] [options]",
    .meant = "model/",
    .about = "Serves completions, chats and log-probabilities in the form that clients of the OpenAI interface and the "
             "Language Model Evaluation Harness send and read. Many requests are computed at once, and none of them "
             "gets another answer for that.\n\n"
             "It listens on this machine alone unless told otherwise. SIGTERM or ctrl-C lets it finish what runs. "
             "docs/serve.md has routes, limits and what to do about security.",
    .examples = "pha serve --model run/model\n"
                "curl -s http://127.0.0.1:8080/v1/completions -d '{\"prompt\": \"The history of\"}'\n"
                "pha serve -m run/model --host 0.0.0.0 --api-key-file keys --limit queue=64",
    .options = table,
    .size = sizeof(ServeOptions),
    .run = run,
};
