// stream.h -- a stream of an emulated card: what is launched on it is done at once, or written down while it records
#ifndef STREAM_H
#define STREAM_H

#include <functional>
#include <vector>

struct emulated_stream {
    std::vector<std::function<void()>> *recording; // NULL: none
};

// f by value: what it was launched with is what a recording repeats.
template <typename F> void emulated_launch(void *stream, const F &f) {
    emulated_stream *s = (emulated_stream *)stream;
    if (s && s->recording) s->recording->push_back(f);
    else f();
}

#endif
