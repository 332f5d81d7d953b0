// Frames and messages on an encrypted connection, all integers big-endian:
//
//   frame   = length u32 ‖ message                       (length ≤ 10 MiB, else the connection ends)
//   message = action u8 ‖ error length u8 ‖ channel u32 ‖ body
//
// Messages are built in place: the 10 header bytes go into a Buffer's head room, above what the
// connection itself prepends. Incoming frames that lie wholly in one view are not copied.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace hg::tunnel {

inline constexpr size_t kLengthBytes = 4;
inline constexpr size_t kMessageHeaderBytes = 6;
inline constexpr size_t kFrameHeaderBytes = kLengthBytes + kMessageHeaderBytes;
inline constexpr size_t kMaxMessage = 10 * 1024 * 1024;
inline constexpr size_t kMaxBeforeHello = 4096;  // a hello takes 79
inline constexpr size_t kMaxStreamBody = 61440;  // the TypeScript program's MAX_TUNNEL_FRAME
inline constexpr size_t kEarlyBytes = 32768;     // of a channel, before its confirmation (feature "early")
inline constexpr size_t kMaxUdpPayload = 65507;  // RFC 768 over IPv4: 65535 - 20 - 8
inline constexpr size_t kMaxErrorJson = 255;     // its length is one byte

enum class Action : uint8_t {
  kHello = 0,
  kOpen = 1,
  kStream = 2,
  kClose = 3,
  kAdvRoutes = 4,
  kEnd = 5,
  kCredit = 6,  // feature "flow" only: body = bytes u32 the receiver may send beyond what it was granted before
  kProbe = 7,   // feature "probe" only: body = bytes u32 wanted back, then filler
};

enum class Protocol : uint8_t { kTcp = 0, kUdp = 1 };
inline std::string_view protocol_name(Protocol protocol) { return protocol == Protocol::kUdp ? "udp" : "tcp"; }

struct Message {
  uint8_t action = 0;
  uint32_t channel = 0;
  bool is_error = false;
  std::string error;  // decoded text, is_error only
  ByteView body;      // into the parsed payload
};

/// Decodes one payload; nullopt when it is shorter than its header or its error.
std::optional<Message> parse_message(ByteView payload);

/// Body of an open request or confirmation: gatePort u32 [‖ protocol u8 [‖ JSON]].
struct OpenBody {
  uint32_t gate_port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string_view json;  // fingerprint or confirmation, not validated; may be empty
};
std::optional<OpenBody> parse_open(ByteView body);

uint32_t load_u32_be(const uint8_t* from);
void store_u32_be(uint8_t* to, uint32_t value);

/// Prepends the frame header to `body` (headroom() >= kFrameHeaderBytes; size() + 6 <= kMaxMessage).
void prepend_frame(Buffer& body, Action action, uint32_t channel, uint8_t error_length = 0);

/// Whole frames for everything but the hot path; `headroom` and `tailroom` are what the connection wants.
struct Room {
  size_t headroom = 0;
  size_t tailroom = 0;
};
Buffer make_frame(Room room, Action action, uint32_t channel, ByteView body = {});
Buffer make_hello_frame(Room room, bool is_gateway, ByteView auth);
Buffer make_open_frame(Room room, uint32_t channel, uint32_t gate_port, Protocol protocol, std::string_view json = {});
/// The text is cut (at a character boundary) so that its JSON string fits 255 bytes.
Buffer make_error_frame(Room room, Action action, uint32_t channel, std::string_view text);
Buffer make_credit_frame(Room room, uint32_t channel, uint32_t bytes);
Buffer make_probe_frame(Room room, uint32_t wanted_back, size_t filler);

/// Header of a message beside the stream (feature "udp-unordered"): kind u8 ‖ channel u32 ‖ one datagram.
inline constexpr size_t kUnorderedHeaderBytes = 5;
inline constexpr uint8_t kUnorderedKindDatagram = 0;
struct UnorderedDatagram {
  uint32_t channel = 0;
  ByteView body;  // into the parsed message
};
Bytes make_unordered_datagram(uint32_t channel, ByteView datagram);
/// nullopt when it is too short or of another kind.
std::optional<UnorderedDatagram> parse_unordered_datagram(ByteView message);

/// Cuts a byte stream into message payloads.
class FrameReader {
 public:
  /// Longest frame that is taken; kMaxMessage at first.
  void set_limit(size_t bytes) { limit_ = bytes; }

  /// Calls on_message(ByteView payload) for each whole frame; it returns false to stop (the rest is discarded). False: a frame is longer
  /// than the limit and the connection must end. The payload is valid during the call only.
  template <class OnMessage>
  [[nodiscard]] bool feed(ByteView data, OnMessage&& on_message) {
    if (!partial_.empty()) {
      if (!complete_partial(data)) return false;
      if (!partial_complete()) return true;
      Bytes whole;
      whole.swap(partial_);
      if (!on_message(ByteView(whole).subspan(kLengthBytes))) return true;
    }
    while (data.size() >= kLengthBytes) {
      const size_t length = load_u32_be(data.data());
      if (length > limit_) return false;
      if (data.size() - kLengthBytes < length) break;
      const ByteView payload = data.subspan(kLengthBytes, length);
      data = data.subspan(kLengthBytes + length);
      if (!on_message(payload)) return true;
    }
    partial_.assign(data.begin(), data.end());
    return true;
  }
  size_t buffered() const { return partial_.size(); }

 private:
  bool partial_complete() const;
  /// Moves bytes from `data` into partial_ until its frame is whole; memory grows with the bytes that came, not with the length they claim.
  bool complete_partial(ByteView& data);

  Bytes partial_;
  size_t limit_ = kMaxMessage;
};

}  // namespace hg::tunnel
