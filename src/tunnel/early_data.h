// What a client said before its channel was confirmed, kept for whichever provider confirms it. At most kEarlyBytes; owned by an Opening.
#pragma once

#include <span>
#include <vector>

#include "tunnel/frames.h"
#include "tunnel/repeatable.h"

namespace hg::tunnel {

class EarlyData {
 public:
  explicit EarlyData(Protocol protocol) : protocol_(protocol) {}

  static constexpr int kMostReads = 16;  // of a stream: each looks at all that was said

  /// True: it may go ahead, to a provider that was only asked. Datagrams may, since any network may repeat them; of a stream, what may be
  /// repeated. Nothing is added after a false.
  bool add(ByteView data) {
    if (protocol_ == Protocol::kUdp) {
      pieces_.push_back(to_bytes(data));
    } else {
      Bytes said = pieces_.empty() ? Bytes() : pieces_.front();
      append_bytes(said, data);
      if (++reads_ > kMostReads || !may_be_repeated(said)) {
        pieces_.push_back(to_bytes(data));
        return false;
      }
      pieces_.assign(1, std::move(said));
    }
    ahead_ = pieces_.size();
    return true;
  }

  std::span<const Bytes> all() const { return pieces_; }
  std::span<const Bytes> ahead() const { return all().first(ahead_); }
  std::span<const Bytes> behind() const { return all().subspan(ahead_); }

 private:
  const Protocol protocol_;
  std::vector<Bytes> pieces_;  // a datagram each; of a stream: what may go ahead, what may not
  size_t ahead_ = 0;
  int reads_ = 0;
};

inline size_t bytes_in(std::span<const Bytes> pieces) {
  size_t bytes = 0;
  for (const Bytes& piece : pieces) bytes += piece.size();
  return bytes;
}

}  // namespace hg::tunnel
