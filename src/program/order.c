/* order.c -- the order of parameters and nodes: it depends on names alone, not on the order of recording */
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

typedef struct ranked {
    Var node;
    const char *key;
    int recorded;
} ranked;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Writes what compares as bytes like the path with its numbers as numbers: layer2 before layer10. A number becomes its
 * count of digits, as a digit, and the digits without leading zeros. Returns the end; at most 2 strlen(path) + 1. */
static char *put_key(char *out, const char *path)
{
    while (*path) {
        if (!is_digit(*path)) {
            *out++ = *path++;
            continue;
        }
        while (*path == '0') path++;
        int n = 0;
        while (is_digit(path[n])) n++;
        *out++ = (char)('0' + (n < 9 ? n : 9));
        if (n >= 9) *out++ = (char)(n < 255 ? n : 255);
        memcpy(out, path, (size_t)n);
        out += n, path += n;
    }
    *out++ = 0;
    return out;
}

static int by_layer_and_path(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->node->layer != y->node->layer && x->node->op) return x->node->layer < y->node->layer ? -1 : 1;
    int order = strcmp(x->key, y->key);
    return order ? order : x->recorded - y->recorded;
}

/* Nodes by layer and path, or parameters by path, in an array to be freed; NULL: no memory. */
static ranked *rank(Var const *list, int n)
{
    size_t size = 1;
    for (int i = 0; i < n; i++) size += 2 * strlen(list[i]->path) + 1;
    ranked *all = pha__alloc((size_t)n + 1, sizeof *all);
    char *text = pha__alloc(size, 1), *at = text;
    for (int i = 0; i < n && all && text; i++) {
        all[i] = (ranked){list[i], at, i};
        at = put_key(at, list[i]->path);
    }
    if (all && text) qsort(all, (size_t)n, sizeof *all, by_layer_and_path);
    else pha__free(all), all = NULL;
    pha__free(text);
    return all;
}

static bool ready(const pha__node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->op && !n->in[i]->live) return false;
    return true;
}

/* Topological order; of the nodes whose inputs are placed the first by layer and path comes next. It is found among
 * those of a layer or two, since the layers before are placed. */
static void place_nodes(pha__program *p, const ranked *all)
{
    for (int done = 0, first = 0; done < p->n_nodes; done++) {
        while (all[first].node->live) first++;
        int i = first;
        while (all[i].node->live || !ready(all[i].node)) i++;
        p->nodes[done] = all[i].node;
        p->nodes[done]->live = true; /* placed; derive.c gives the flag its lasting meaning */
    }
}

pha_status pha__canonical_order(pha__program *p)
{
    ranked *params = rank(p->params, p->n_params), *nodes = rank(p->nodes, p->n_nodes);
    for (int i = 0; i < p->n_params && params && nodes; i++) {
        p->params[i] = params[i].node;
        p->params[i]->index = i;
    }
    if (params && nodes) place_nodes(p, nodes);
    bool ok = params && nodes;
    pha__free(params);
    pha__free(nodes);
    return ok ? PHA_OK : PHA_NO_MEMORY;
}
