// The options that are limits of the tunnel: one table for who reads them and for who hands them on.
#pragma once

#include <cstdint>
#include <span>

#include "tunnel/limits.h"

namespace hg::app {

/// A number of bytes, or of milliseconds where the flag ends in Ms.
struct LimitOption {
  const char* flag;  // "peerStaleMs"
  void (*set)(tunnel::Limits&, uint64_t);
  uint64_t (*get)(const tunnel::Limits&);
};

std::span<const LimitOption> limit_options();

}  // namespace hg::app
