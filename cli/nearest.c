/* nearest.c -- "did you mean": the candidate with the smallest edit distance, if that is small enough to be a typo */
#include <string.h>

#include "option.h"

#define LONGEST 63

static int least(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours, each 1 (Damerau's restricted distance). */
static int distance(const char *a, const char *b)
{
    int rows[3][LONGEST + 1];
    int na = (int)strlen(a), nb = (int)strlen(b);
    if (na > LONGEST || nb > LONGEST) return LONGEST;
    int *before = rows[0], *above = rows[1], *now = rows[2];
    for (int j = 0; j <= nb; j++) above[j] = j;
    for (int i = 1; i <= na; i++) {
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            now[j] = least(above[j] + 1, now[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < now[j]) now[j] = before[j - 2] + 1;
        }
        int *t = before;
        before = above, above = now, now = t;
    }
    return above[nb];
}

const char *nearest(const char *name, const char *const *names, size_t n)
{
    size_t length = strlen(name);
    const char *best = NULL;
    int lowest = length < 5 ? 2 : length < 8 ? 3 : 4; /* a candidate must be nearer than this */
    for (size_t i = 0; i < n; i++) {
        int d = distance(name, names[i]);
        bool prefix = length >= 3 && strncmp(name, names[i], length) == 0; /* --temp for --temperature */
        if (prefix && d > 1) d = 1;
        if (d < lowest && d < (int)strlen(names[i])) lowest = d, best = names[i];
    }
    return best;
}
