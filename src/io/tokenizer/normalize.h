/* normalize.h -- Unicode's normal forms, as the normalizer of a tokenizer.json asks for them */
#ifndef PHA__NORMALIZE_H
#define PHA__NORMALIZE_H

#include "base/json.h"
#include "base/str.h"

typedef enum pha__form { PHA__NFC, PHA__NFD, PHA__NFKC, PHA__NFKD } pha__form;

#define PHA__FORMS 4

typedef struct pha__forms {
    pha__form form[PHA__FORMS];
    int n;
} pha__forms;

/* The normalizer of a tokenizer.json. */
pha_status pha__forms_read(pha__forms *f, const json_t *json, const char *name);

/* Memory kept between calls. Zero-initialise. */
typedef struct pha__normal_space {
    pha__str out[2];
    int32_t *codes;
    uint64_t *marks;
    size_t capacity, n, marks_capacity;
} pha__normal_space;

void pha__normal_space_free(pha__normal_space *space);

/* *text, *size become the normal form, which is the text itself or lies in `space`. Bytes that are not valid UTF-8 stay
 * as they are. O(n log n). */
pha_status pha__normalize(const pha__forms *f, pha__normal_space *space, const unsigned char **text, size_t *size);

#endif
