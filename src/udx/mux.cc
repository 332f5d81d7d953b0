#include "udx/mux_core.h"
#include "udx/stream.h"
#include "udx/udx.h"

namespace hg::udx {

uint32_t MuxCore::fresh_id() {
  for (;;) {
    const uint32_t id = runtime.rng().u32();
    if (!streams.contains(id) && !bridges.contains(id) && !lingering_.contains(id)) return id;
  }
}

void MuxCore::add(StreamImpl& stream) { streams.emplace(stream.id(), &stream); }

void MuxCore::remove(StreamImpl& stream) {
  const auto found = streams.find(stream.id());
  if (found != streams.end() && found->second == &stream) streams.erase(found);
  if (last_used_ == &stream) last_used_ = nullptr;
}

void MuxCore::forget(StreamImpl& stream) {
  remove(stream);
  for (StreamImpl*& entry : dirty_)
    if (entry == &stream) entry = nullptr;
  forget_waiting(stream);
}

void MuxCore::forget_waiting(StreamImpl& stream) {
  std::erase_if(blocked_, [&](const auto& entry) { return entry.second == &stream; });
}

void MuxCore::mark_dirty(StreamImpl& stream) {
  if (!stream.dirty) {
    stream.dirty = true;
    dirty_.push_back(&stream);
  }
  if (!running_) post_run();
}

void MuxCore::post_run() {
  if (posted_) return;
  posted_ = true;
  runtime.post([weak = std::weak_ptr<MuxCore*>(token_)] {
    if (const auto core = weak.lock()) {
      (*core)->posted_ = false;
      (*core)->on_drained();
    }
  });
}

void MuxCore::run() {
  if (running_) return;
  running_ = true;
  const std::weak_ptr<MuxCore*> alive = token_;  // a handler may take the Mux down
  for (size_t i = 0; i < dirty_.size(); ++i) {
    StreamImpl* stream = dirty_[i];
    if (stream == nullptr) continue;
    dirty_[i] = nullptr;
    stream->dirty = false;
    stream->flush();
    if (alive.expired()) return;
  }
  dirty_.clear();
  running_ = false;
}

void MuxCore::wait_writable(UdpSocket& socket, StreamImpl& stream) {
  bool waiting = false;
  for (const auto& [other, waiter] : blocked_) {
    if (other != &socket) continue;
    if (waiter == &stream) return;
    waiting = true;
  }
  blocked_.emplace_back(&socket, &stream);
  if (waiting) return;
  socket.on_writable([weak = std::weak_ptr<MuxCore*>(token_), &socket] {
    const auto core = weak.lock();
    if (!core) return;
    auto& blocked = (*core)->blocked_;
    std::vector<StreamImpl*> waiters;
    for (const auto& [other, waiter] : blocked)
      if (other == &socket) waiters.push_back(waiter);
    std::erase_if(blocked, [&](const auto& entry) { return entry.first == &socket; });
    for (StreamImpl* waiter : waiters) waiter->on_writable();
  });
}

bool MuxCore::on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) {
  const auto id = wire::udx_stream_id(data);
  if (!id) return false;
  StreamImpl* stream = last_used_;
  if (stream == nullptr || stream->id() != *id) {
    const auto found = streams.find(*id);
    if (found == streams.end()) return on_other(socket, from, *id, data);
    stream = last_used_ = found->second;
  }
  const auto packet = wire::decode_udx_packet(data);
  if (!packet) {
    ++counters.malformed;
    return true;
  }
  if (!stream->admits(socket, from)) {
    ++counters.refused;
    return true;
  }
  stream->on_packet(socket, from, *packet);
  return true;
}

void MuxCore::on_drained() {
  const std::weak_ptr<MuxCore*> alive = token_;
  if (!dirty_.empty()) run();
  if (alive.expired()) return;
  for (size_t i = 0; i < touched_.size(); ++i) {
    if (touched_[i] == nullptr) continue;
    touched_[i]->touched = false;
    touched_[i]->flush();
  }
  touched_.clear();
}

void MuxCore::touch(Bridge& bridge) {
  if (std::exchange(bridge.touched, true)) return;
  touched_.push_back(&bridge);
  post_run();
}

void MuxCore::forget(Bridge& bridge) {
  for (Bridge*& entry : touched_)
    if (entry == &bridge) entry = nullptr;
}

bool MuxCore::on_other(UdpSocket& socket, const Endpoint& from, uint32_t id, ByteView data) {
  const auto bridge = bridges.find(id);
  if (bridge == bridges.end()) return answer_late(socket, id, data);
  bridge->second->on_packet(id, socket, from, data);
  return true;
}

void MuxCore::linger(uint32_t id, const Endpoint& remote, const wire::UdxHeader& last_word) {
  while (!linger_order_.empty() && (lingering_.size() >= kMaxLingering || lingering_[linger_order_.front()].until <= runtime.now())) {
    lingering_.erase(linger_order_.front());
    linger_order_.pop_front();
  }
  lingering_[id] = {remote, last_word, runtime.now() + kLinger, 0};
  linger_order_.push_back(id);
}

bool MuxCore::answer_late(UdpSocket& socket, uint32_t id, ByteView data) {
  const auto found = lingering_.find(id);
  if (found == lingering_.end() || found->second.until <= runtime.now()) {
    ++counters.unknown_stream;
    return false;
  }
  LastWord& word = found->second;
  const auto packet = wire::decode_udx_packet(data);
  if (packet && (packet->header.flags & (wire::kUdxData | wire::kUdxEnd | wire::kUdxHeartbeat)) && word.replies++ < kMaxLingerReplies) {
    ByteArray<wire::kUdxHeaderSize> header;
    wire::encode_udx_header(word.header, header.data());
    socket.send(word.remote, header);
  }
  return true;
}

struct Mux::Impl {
  explicit Impl(Runtime& runtime) : core(runtime) {}
  MuxCore core;
};

Mux::Mux(Runtime& runtime) : impl_(std::make_unique<Impl>(runtime)) {}
Mux::~Mux() = default;

std::unique_ptr<Stream> Mux::create_stream(const StreamOptions& options) {
  return std::make_unique<StreamImpl>(impl_->core, impl_->core.fresh_id(), options);
}

std::unique_ptr<Bridge> Mux::create_bridge(BridgeOptions options) { return std::make_unique<Bridge>(impl_->core, std::move(options)); }

bool Mux::on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) { return impl_->core.on_datagram(socket, from, data); }
void Mux::on_drained() { impl_->core.on_drained(); }
const MuxCounters& Mux::counters() const { return impl_->core.counters; }
size_t Mux::stream_count() const { return impl_->core.streams.size(); }

}  // namespace hg::udx
