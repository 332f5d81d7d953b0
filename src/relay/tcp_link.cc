#include "relay/tcp_link.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "tunnel/proxy_protocol.h"

namespace hg::relay {

namespace {
constexpr std::string_view kLog = "relay";
constexpr size_t kMaxSlices = 64;
constexpr size_t kLeastBurst = 512 << 10;  // bytes that may wait for a limited client whose provider has no windows
using Kind = io::IoResult::Kind;
}  // namespace

TcpLink::TcpLink(LinkContext& context, LinkSet& owner) : context_(context), owner_(owner) { touch(now()); }

/// What goes with the program may be cut short: the other end must not take it for the whole.
TcpLink::~TcpLink() {
  if (socket_ == nullptr) return;
  socket_->set_handler(nullptr);
  if (!queue_.empty() || !(finished_ || remote_ended_)) socket_->reset_on_close();
}

void TcpLink::start(std::unique_ptr<io::TcpSocket> socket, std::unique_ptr<tunnel::Channel> channel) {
  socket_ = std::move(socket);
  channel_ = std::move(channel);
  socket_->set_handler(this);
  if (channel_->early()) socket_->watch_read(true);
}

void TcpLink::connect_to(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel) {
  request_ = std::make_unique<tunnel::ServiceRequest>(std::move(request));
  channel_ = std::move(channel);
  channel_->set_handler(this);
  is_service_ = true;
  const auto done = [this](Expected<std::unique_ptr<io::TcpSocket>> result) { connected(std::move(result)); };
  const tunnel::Service& service = request_->service;
  const auto local = io::SocketAddress::unix_path(tunnel::unix_socket_path(service.service_host));
  connect_ = local ? io::tcp_connect(context_.loop, *local, context_.limits.open_request_timeout, done)
                   : io::tcp_connect(context_.loop, service.service_host, service.service_port, context_.limits.open_request_timeout, done);
}

/// Who the client is, for the resolver and, where the service wants it, as the first bytes. A fresh socket takes them as a whole.
bool TcpLink::introduce() {
  follow(announce_flow(context_, *request_, channel_->id(), socket_->local_address(), socket_->remote_address()));
  const Bytes header =
      tunnel::make_proxy_header(request_->service.proxy_header, tunnel::Protocol::kTcp, request_->fingerprint, request_->gateway);
  request_.reset();
  if (header.empty()) return true;
  const ByteView slice = header;
  written_at_ = now();
  return socket_->write({&slice, 1}).bytes == header.size();
}

void TcpLink::connected(Expected<std::unique_ptr<io::TcpSocket>> result) {
  if (finished_) return;
  if (!result) {
    ++context_.counters->refused_connect_failed;
    request_->health->note_refused(now(), result.error().message);
    if (context_.notices.due(result.error().message, context_.loop.now())) HG_LOG(kWarn, kLog, "service: {}", result.error().message);
    channel_->refuse(result.error().message);
    return finish();
  }
  socket_ = std::move(*result);
  connect_.reset();
  const auto health = request_->health;
  if (!introduce()) {
    health->note_refused(now(), "it ended the connection at once");
    channel_->refuse("The service ended the connection");
    return finish();
  }
  health->note_connected(now());
  socket_->set_handler(this);
  channel_->accept();
  if (queue_.empty()) {
    after_flush();
  } else {
    flush();
  }
  if (!finished_ && !closing_) socket_->watch_read(true);
}

void TcpLink::expire() {
  if (finished_) return;
  if (channel_ != nullptr) channel_->close();
  finish();
}

void TcpLink::expire_unless_open() {
  if (channel_ != nullptr && channel_->state() == tunnel::Channel::State::kOpening) expire();
}

// ---------------------------------------------------------------------------------------------------- socket ─▶ channel

void TcpLink::on_channel_open() {
  touch(now());
  socket_->watch_read(true);
  on_readable();
}

void TcpLink::on_channel_limit(std::shared_ptr<tunnel::Bucket> bucket) {
  if (shaped_ == nullptr) {
    if (bucket == nullptr) return;
    shaped_ = std::make_unique<ShapedStream>([this] { go_on_reading(); }, [this] { flush(); });
    return shaped_->use(bucket);
  }
  const bool read_waits = shaped_->up.waiting();
  const bool write_waits = shaped_->down.waiting();
  shaped_->use(bucket);
  if (read_waits) socket_->watch_read(true);
  if (write_waits) socket_->watch_write(true);
}

void TcpLink::on_readable() {
  if (closing_) return discard();
  go_on_reading();
}

void TcpLink::go_on_reading() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    const Pulled pulled = pull();
    if (pulled == Pulled::kMore) continue;
    if (pulled == Pulled::kFull || pulled == Pulled::kLimited) socket_->watch_read(false);
    if (pulled == Pulled::kFull) channel_->wait_to_send();
    if (pulled == Pulled::kEmpty) socket_->watch_read(true);
    return;
  }
  socket_->watch_read(true);
}

void TcpLink::on_channel_sendable() {
  switch (pull()) {
    case Pulled::kMore:
    case Pulled::kFull:
      return channel_->wait_to_send();
    case Pulled::kEmpty:
      return socket_->watch_read(true);
    case Pulled::kLimited:
    case Pulled::kStopped:
      return;
  }
}

/// Moves one message.
TcpLink::Pulled TcpLink::pull() {
  if (finished_ || local_ended_ || closing_) return Pulled::kStopped;
  size_t most = channel_->sendable();
  if (most == 0) return Pulled::kFull;
  if (shaped_ != nullptr) most = shaped_->up.grant(most);
  if (most == 0) return Pulled::kLimited;
  Buffer data;
  const io::IoResult result = context_.read_area.read(*socket_, *channel_, most, data);
  switch (result.kind) {
    case Kind::kBytes: {
      touch(now());
      if (shaped_ != nullptr) shaped_->up.charge(result.bytes);
      const bool room_left = channel_->send(std::move(data));
      if (result.bytes < most) return Pulled::kEmpty;
      return room_left ? Pulled::kMore : Pulled::kFull;
    }
    case Kind::kWouldBlock:
      return Pulled::kEmpty;
    case Kind::kEnd:
      if (cut_short_) {
        socket_failed(ECONNRESET);
        return Pulled::kStopped;
      }
      local_ended_ = true;
      socket_->watch_read(false);
      socket_->watch_failure();
      channel_->end();
      finish_when_done();
      return Pulled::kStopped;
    case Kind::kError:
      socket_failed(result.error);
      return Pulled::kStopped;
  }
  return Pulled::kStopped;
}

void TcpLink::discard() {
  std::array<uint8_t, 16384> waste;
  const io::IoResult result = socket_->read(waste);
  if (result.kind == Kind::kEnd || result.kind == Kind::kError) finish();
}

// ---------------------------------------------------------------------------------------------------- channel ─▶ socket

void TcpLink::on_channel_data(ByteView data) {
  if (finished_) return;
  if (unwritable_) return channel_->consumed(data.size());
  touch(now());
  if (shaped_ != nullptr) {
    if (over_burst()) {
      ++context_.counters->closed_shaping;
      channel_->close();
      socket_->reset_on_close();
      return finish();
    }
    queue(data);
    if (!shaped_->down.waiting()) flush();
    return;
  }
  if (socket_ == nullptr || !queue_.empty()) return queue(data);
  const io::IoResult result = socket_->write({&data, 1});
  if (result.kind == Kind::kError) return write_failed(result.error);
  written_at_ = now();
  if (result.bytes < data.size()) {
    queue(data.subspan(result.bytes));
    socket_->watch_write(true);
  }
  if (result.bytes > 0) channel_->consumed(result.bytes);
}

void TcpLink::queue(ByteView data) {
  if (queue_.empty() || queue_.back().size() + data.size() > kJoinedBytes) {
    queue_.push_back(to_bytes(data));
  } else {
    append_bytes(queue_.back(), data);
  }
}

bool TcpLink::over_burst() const {
  const auto& bucket = shaped_->down.bucket();
  if (bucket == nullptr || channel_->credited()) return false;
  const size_t most = std::min(std::max(bucket->capacity(), kLeastBurst), context_.limits.max_buffer_per_channel);
  return channel_->unconsumed() > most;
}

void TcpLink::on_writable() { flush(); }

void TcpLink::flush() {
  while (queue_head_ < queue_.size()) {
    std::array<ByteView, kMaxSlices> slices;
    size_t count = 0;
    size_t total = 0;
    for (size_t i = queue_head_; i < queue_.size() && count < kMaxSlices; ++i, ++count) {
      slices[count] = ByteView(queue_[i]).subspan(i == queue_head_ ? head_offset_ : 0);
      total += slices[count].size();
    }
    if (shaped_ != nullptr) {
      size_t may = shaped_->down.grant(total);
      if (may == 0) return socket_->watch_write(false);
      for (count = 0; may > 0; ++count) {
        slices[count] = slices[count].first(std::min(may, slices[count].size()));
        may -= slices[count].size();
      }
    }
    const io::IoResult result = socket_->write(std::span(slices).first(count));
    if (result.kind == Kind::kError) return write_failed(result.error);
    if (result.bytes == 0) {
      socket_->watch_write(true);
      return;
    }
    touch(now());
    written_at_ = now();
    if (shaped_ != nullptr) shaped_->down.charge(result.bytes);
    size_t left = result.bytes;
    while (left > 0) {
      const size_t piece = queue_[queue_head_].size() - head_offset_;
      if (left < piece) {
        head_offset_ += left;
        break;
      }
      left -= piece;
      drop_front();
    }
    if (channel_ != nullptr) channel_->consumed(result.bytes);
    if (remainder_ != nullptr) remainder_->wrote(result.bytes);
    if (finished_) return;
  }
  drop_queue();
  after_flush();
}

void TcpLink::drop_queue() {
  std::vector<Bytes>().swap(queue_);
  queue_head_ = 0;
  head_offset_ = 0;
  socket_->watch_write(false);
}

size_t TcpLink::queued_bytes() const {
  size_t bytes = 0;
  for (size_t i = queue_head_; i < queue_.size(); ++i) bytes += queue_[i].size();
  return bytes - head_offset_;
}

void TcpLink::drop_front() {
  head_offset_ = 0;
  Bytes().swap(queue_[queue_head_++]);
  // A limited queue may never run empty: written elements go before they are the most of it.
  if (queue_head_ < kMaxSlices || queue_head_ * 2 < queue_.size()) return;
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(queue_head_));
  queue_head_ = 0;
}

void TcpLink::after_flush() {
  if (remote_ended_ && !fin_sent_) {
    fin_sent_ = true;
    if (!local_ended_) socket_->shutdown_write();  // both ended: closing the socket says it
  }
  remainder_.reset();
  if (!closing_) return finish_when_done();
  if (!aborted_) return linger();
  socket_->watch_failure();
  farewell_ = std::make_unique<Farewell>(context_.loop, *socket_, [this] { finish(); });
}

void TcpLink::on_channel_end() {
  touch(now());
  remote_ended_ = true;
  if (socket_ != nullptr && queue_.empty()) after_flush();
}

}  // namespace hg::relay
