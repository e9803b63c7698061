# A few lines over CMake. `make quickstart` does the whole tour, `make check` builds and passes all tests.
BUILD ?= build
JOBS  ?= $(shell nproc)

.PHONY: all build quickstart check nightly gpu install uninstall deb dist tarball site clean

all: build

build:
	@tools/install-deps
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DPHA_TESTS=OFF >/dev/null
	@ninja --quiet -C $(BUILD) -j $(JOBS) pha_command

# TEXT=folder: train on your own text instead of the Python documentation
quickstart: build
	@BUILD=$(BUILD) TEXT="$(TEXT)" OUT="$(OUT)" tools/quickstart

check:
	@BUILD=$(BUILD) JOBS=$(JOBS) tools/check

nightly: check
	@BUILD=$(BUILD) JOBS=$(JOBS) tools/nightly

# What tools/gpu/session runs on a machine with a GPU and no tools, in out/gpu/bin.
gpu:
	@tools/gpu/bundle

# PREFIX=folder: not /usr/local
install: build
	@ninja --quiet -C $(BUILD) -j $(JOBS)
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix "$(PREFIX)")

# What the last `make install` from this build folder wrote.
uninstall:
	@cmake -DMANIFEST=$(BUILD)/install_manifest.txt -P cmake/uninstall.cmake

# dist/: the packages pha, libpha0 and libpha-dev of Debian; the sources as a tarball
deb:
	@packaging/deb --out dist
dist:
	@packaging/dist --out dist
# dist/: what is installed, as a tarball that works wherever it is unpacked
tarball:
	@packaging/tarball --out dist

# dist/site: the documentation, the public headers and the help as pages, with a gallery that pha makes.
site: build
	@tools/site --pha $(BUILD)/pha --out dist/site

clean:
	@rm -rf $(BUILD) $(BUILD)-asan
