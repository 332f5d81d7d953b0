// Noise messages from a stranger: a responder reads the input as message 1, an initiator as message 2, and
// hole-punch envelopes and unordered messages are opened. Nothing forged may be taken.
#include <cstdlib>

#include "crypto/crypto.h"
#include "noise/handshake.h"
#include "noise/unordered.h"
#include "peer/secure_payload.h"

using namespace hg;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crypto::init();
  const ByteView input(data, size);
  SeededRng rng(7);
  static const KeyPair server = crypto::key_pair_from_seed(Seed{1});
  static const KeyPair client = crypto::key_pair_from_seed(Seed{2});
  auto responder = noise::IkHandshake::responder(server, noise::dht_namespace(0), rng);
  if (responder.read_message(input)) std::abort();
  auto initiator = noise::IkHandshake::initiator(client, server.public_key, noise::dht_namespace(0), rng);
  if (!initiator.write_message({})) std::abort();
  if (initiator.read_message(input)) std::abort();
  if (peer::SecurePayload({}, rng).open(input)) std::abort();
  if (noise::UnorderedBox({}, true, {}).open(input)) std::abort();
  return 0;
}
