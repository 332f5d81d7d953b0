// What the streams and bridges of one Mux share: the table of ids, who must act before the loop sleeps, and scratch memory.
//
//   a stream is touched ─▶ mark_dirty() ─▶ run(): when the batch is drained, at the latest as a posted task
//   a stream is closed  ─▶ linger(): for a while its last word is repeated to a peer that did not get it
//
// Owner: the Mux. One thread.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/runtime.h"
#include "udx/block_pool.h"
#include "udx/bridge.h"
#include "udx/send_batch.h"
#include "udx/udx.h"

namespace hg::udx {

class StreamImpl;

class MuxCore {
 public:
  static constexpr size_t kMaxLingering = 1024;
  static constexpr Duration kLinger = 10s;
  static constexpr int kMaxLingerReplies = 64;

  explicit MuxCore(Runtime& runtime_in) : runtime(runtime_in) {}

  uint32_t fresh_id();
  void add(StreamImpl& stream);
  void remove(StreamImpl& stream);
  /// The stream object goes away: forget every pointer to it.
  void forget(StreamImpl& stream);

  void mark_dirty(StreamImpl& stream);
  void wait_writable(UdpSocket& socket, StreamImpl& stream);
  void forget_waiting(StreamImpl& stream);
  void run();
  /// A bridge has packets to send when the batch is drained.
  void touch(Bridge& bridge);
  void forget(Bridge& bridge);

  bool on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data);
  void on_drained();

  /// Answers late packets for `id` with `last_word` (a state or DESTROY packet), towards `remote` only.
  void linger(uint32_t id, const Endpoint& remote, const wire::UdxHeader& last_word);

  Runtime& runtime;
  BlockPool blocks;
  SendBatch batch;
  MuxCounters counters;
  std::unordered_map<uint32_t, StreamImpl*> streams;
  std::unordered_map<uint32_t, Bridge*> bridges;

 private:
  struct LastWord {
    Endpoint remote{};
    wire::UdxHeader header;
    TimePoint until{};
    int replies = 0;
  };

  bool on_other(UdpSocket& socket, const Endpoint& from, uint32_t id, ByteView data);
  bool answer_late(UdpSocket& socket, uint32_t id, ByteView data);
  void post_run();

  std::vector<StreamImpl*> dirty_;
  std::vector<Bridge*> touched_;
  std::vector<std::pair<UdpSocket*, StreamImpl*>> blocked_;
  std::unordered_map<uint32_t, LastWord> lingering_;
  std::deque<uint32_t> linger_order_;
  std::shared_ptr<MuxCore*> token_ = std::make_shared<MuxCore*>(this);
  StreamImpl* last_used_ = nullptr;
  bool running_ = false;
  bool posted_ = false;
};

}  // namespace hg::udx
