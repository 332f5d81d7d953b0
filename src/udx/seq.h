// Packet sequence numbers: 32-bit serial arithmetic (RFC 1982); only numbers less than 2^31 apart are compared.
#pragma once

#include <cstdint>

namespace hg::udx {

using Seq = uint32_t;

constexpr int32_t seq_diff(Seq a, Seq b) { return static_cast<int32_t>(a - b); }
constexpr bool seq_before(Seq a, Seq b) { return seq_diff(a, b) < 0; }
constexpr bool seq_at_or_before(Seq a, Seq b) { return seq_diff(a, b) <= 0; }

}  // namespace hg::udx
