// Every decoder of wire on arbitrary bytes: whatever decodes must encode to something that decodes to the same.
#include <cstdlib>

#include "wire/hyperdht.h"
#include "wire/protomux.h"
#include "wire/rpc.h"

namespace {

using namespace hg;

template <class Decode>
void round_trip(ByteView in, Decode decode_one) {
  const auto first = decode_one(in);
  if (!first) return;
  const auto second = decode_one(wire::encode(*first));
  if (!second || !(*first == *second)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView in(data, size);
  round_trip(in, wire::decode_handshake);
  round_trip(in, wire::decode_holepunch);
  round_trip(in, wire::decode_holepunch_payload);
  round_trip(in, wire::decode_peer);
  round_trip(in, wire::decode_lookup_reply);
  round_trip(in, wire::decode_announce);
  round_trip(in, wire::decode_mutable_signable);
  round_trip(in, wire::decode_mutable_put);
  round_trip(in, wire::decode_mutable_record);
  round_trip(in, wire::decode_plugin_request);
  round_trip(in, wire::decode_pair);
  round_trip(in, wire::decode_unpair);
  // Only version 1 has a body to encode.
  if (const auto payload = wire::decode_noise_payload(in); payload && payload->version == 1) round_trip(in, wire::decode_noise_payload);
  wire::decode_uint(in);

  size_t items = 0;
  const auto count = [&items](size_t more) {
    items += more;
    return items < 4096;
  };
  const bool whole = wire::read_mux_frame(in, {.on_open = [&](const wire::MuxOpen& m) { return count(m.protocol.size()); },
                                               .on_reject = [&](const wire::MuxReject&) { return count(1); },
                                               .on_close = [&](const wire::MuxClose&) { return count(1); },
                                               .on_message = [&](const wire::MuxMessage& m) { return count(m.body.size()); }});
  static_cast<void>(whole);
  return 0;
}
