// A fuzzer's input read as a script: what is missing at its end reads as zeros, or as nothing.
#pragma once

#include <algorithm>

#include "base/bytes.h"

struct Script {
  hg::ByteView rest;
  uint8_t byte() {
    if (rest.empty()) return 0;
    const uint8_t value = rest.front();
    rest = rest.subspan(1);
    return value;
  }
  /// At most `n` bytes.
  hg::Bytes take(size_t n) {
    const hg::ByteView out = rest.first(std::min(n, rest.size()));
    rest = rest.subspan(out.size());
    return hg::to_bytes(out);
  }
};
