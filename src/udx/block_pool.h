// Recycled blocks for packets that must be kept (out of order, or while reading is paused). One pool per Mux, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace hg::udx {

class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 1472;  // largest UDP payload in a 1500-byte IPv4 packet
  static constexpr size_t kSmallBytes = 1024;  // up to this an exact allocation: no block is half as large again as what it holds
  static constexpr size_t kMaxSpareBlocks = 1024;

  using Block = std::unique_ptr<uint8_t[]>;

  /// What a block for `bytes` takes.
  static size_t block_bytes(size_t bytes) { return pooled(bytes) ? kBlockBytes : bytes; }

  Block take(size_t bytes) {
    if (!pooled(bytes) || spare_.empty()) return Block(new uint8_t[block_bytes(bytes)]);
    Block block = std::move(spare_.back());
    spare_.pop_back();
    return block;
  }
  /// `bytes` as in take().
  void give_back(Block block, size_t bytes) {
    if (pooled(bytes) && spare_.size() < kMaxSpareBlocks) spare_.push_back(std::move(block));
  }

 private:
  static bool pooled(size_t bytes) { return bytes > kSmallBytes && bytes <= kBlockBytes; }

  std::vector<Block> spare_;
};

}  // namespace hg::udx
