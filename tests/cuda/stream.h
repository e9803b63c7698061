// stream.h -- a stream of an emulated card: what is launched on it is done at once, or written down while it records
//
// PHA_EMULATED_LAZY=1: what is launched on the first stream of a card is done as late as it may, when somebody waits
// for it, so that whoever forgets to wait finds old numbers.
#ifndef STREAM_H
#define STREAM_H

#include <stdlib.h>

#include <deque>
#include <functional>
#include <vector>

struct emulated_stream {
    std::vector<std::function<void()>> *recording; // NULL: none
    bool lazy;
    std::deque<std::function<void()>> late;
};

static inline void emulated_wait(void *stream) {
    emulated_stream *s = (emulated_stream *)stream;
    while (s && !s->late.empty()) {
        std::function<void()> f = s->late.front();
        s->late.pop_front();
        f();
    }
}

// f by value: what it was launched with is what a recording repeats.
template <typename F> void emulated_launch(void *stream, const F &f) {
    emulated_stream *s = (emulated_stream *)stream;
    if (s && s->recording) s->recording->push_back(f);
    else if (s && s->lazy) s->late.push_back(f);
    else f();
}

#endif
