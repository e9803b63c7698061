/* config_resize.c -- the same architecture with another width and another number of layers
 *
 * A key "d_..." is a width: it goes with d_model. So does the number of heads, which keep their width as well as they
 * can. Everything else stays.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "io/config.h"

typedef struct resizing {
    const pha__config *from;
    int32_t width, layers, heads; /* wanted; heads: that fit */
} resizing;

static int32_t in_proportion(int64_t x, int32_t to, int32_t from)
{
    double y = round((double)x * to / from);
    return y < 1 ? 1 : y > INT32_MAX ? INT32_MAX : (int32_t)y;
}

/* What was a multiple of 16 is one, at least 32 if it was. */
static int32_t width_of(const resizing *r, int64_t old)
{
    if (old % 16) return in_proportion(old, r->width, r->from->d_model);
    int64_t least = old < 32 ? old : 32, new = 16 * (int64_t)in_proportion(old / 16, r->width, r->from->d_model);
    return new < least ? (int32_t)least : new > INT32_MAX ? INT32_MAX : (int32_t)new;
}

/* The largest number up to `most` that divides n. */
static int32_t divisor(int32_t n, int32_t most)
{
    while (n % most) most--;
    return most;
}

/* A head has an even width. */
static int32_t heads_of(const pha__config *c, int32_t width)
{
    if (c->n_head < 1 || width < 2) return 1;
    int32_t most = in_proportion(c->n_head, width, c->d_model);
    return divisor(width / 2, most < width / 2 ? most : width / 2);
}

/* Those that are left; the last if none is. */
static json_t *layers_of(const resizing *r)
{
    json_t *list = pha__json_list();
    bool none = true;
    for (int32_t layer = 0; layer < r->layers && layer < r->from->n_layer; layer++) {
        if (!pha__is_attn_layer(r->from, layer)) continue;
        pha__json_add(&list, pha__json_number(layer));
        none = false;
    }
    for (int32_t layer = r->layers; none && layer < r->from->n_layer; layer++) {
        if (!pha__is_attn_layer(r->from, layer)) continue;
        pha__json_add(&list, pha__json_number(r->layers - 1));
        none = false;
    }
    return list;
}

/* A list repeats its last entry for layers that it has none for. */
static json_t *windows_of(const resizing *r, json_t *old)
{
    if (!json_is_array(old)) return json_incref(old);
    json_t *list = pha__json_list();
    size_t last = json_array_size(old) - 1;
    for (size_t layer = 0; layer < (size_t)r->layers; layer++)
        pha__json_add(&list, json_incref(json_array_get(old, layer < last ? layer : last)));
    return list;
}

static json_t *resized(const resizing *r, const char *key, json_t *old)
{
    if (!strcmp(key, "d_model")) return pha__json_number(r->width);
    if (!strcmp(key, "n_layer")) return pha__json_number(r->layers);
    if (!strcmp(key, "n_head")) return pha__json_number(r->heads);
    if (!strcmp(key, "n_kv_head"))
        return pha__json_number(divisor(r->heads, in_proportion(json_integer_value(old), r->heads, r->from->n_head)));
    if (!strcmp(key, "attn_layers")) return layers_of(r);
    if (!strcmp(key, "window")) return windows_of(r, old);
    if (!strncmp(key, "d_", 2) && json_is_integer(old)) return pha__json_number(width_of(r, json_integer_value(old)));
    return json_incref(old);
}

json_t *pha__config_resized(const pha__config *c, const pha__config_rules *rules, int32_t d_model, int32_t n_layer)
{
    const char *key;
    json_t *value, *old = pha__config_to_json(c, rules), *new = old ? pha__json_object() : NULL;
    resizing r = {.from = c, .width = d_model ? d_model : c->d_model, .layers = n_layer ? n_layer : c->n_layer};
    r.heads = heads_of(c, r.width);
    if (r.width == c->d_model) r.heads = c->n_head; /* as it is, were it odd in one way or another */
    json_object_foreach(old, key, value) pha__json_set(&new, key, resized(&r, key, value));
    json_decref(old);
    return new;
}
