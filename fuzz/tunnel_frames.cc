// Frames and messages of the tunnel: however the bytes are cut, the same messages come out, and nothing is kept that was not sent.
#include <cstdlib>

#include "tunnel/fingerprint.h"
#include "tunnel/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hg;
  using namespace hg::tunnel;
  if (size == 0) return 0;
  const size_t piece = 1 + data[0];
  const ByteView input(data + 1, size - 1);

  std::vector<Bytes> whole;
  FrameReader at_once;
  const bool whole_ok = at_once.feed(input, [&](ByteView payload) {
    whole.push_back(to_bytes(payload));
    return true;
  });

  std::vector<Bytes> cut;
  FrameReader in_pieces;
  bool cut_ok = true;
  for (ByteView rest = input; !rest.empty() && cut_ok;) {
    const ByteView part = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(part.size());
    cut_ok = in_pieces.feed(part, [&](ByteView payload) {
      cut.push_back(to_bytes(payload));
      return true;
    });
  }
  if (whole_ok != cut_ok || (whole_ok && whole != cut)) std::abort();
  if (in_pieces.buffered() > size || at_once.buffered() > size) std::abort();

  for (const Bytes& payload : whole) {
    const auto message = parse_message(payload);
    if (!message) continue;
    if (message->is_error) {
      const Buffer frame = make_error_frame({}, Action::kOpen, message->channel, message->error);
      if (frame.size() > kFrameHeaderBytes + kMaxErrorJson) std::abort();
    }
    if (const auto open = parse_open(message->body)) {
      const OpenTerms terms = parse_terms(open->json);
      if (terms.any() && (parse_terms(encode_terms(terms)).window != terms.window)) std::abort();
    }
  }
  return 0;
}
