// dht-rpc datagrams: decoding never reads too far, and encoding what was decoded is stable.
#include <cstdlib>

#include "wire/rpc.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hg;
  const ByteView in(data, size);
  if (const auto request = wire::decode_rpc_request(in)) {
    const Bytes once = wire::encode(*request);
    const auto again = wire::decode_rpc_request(once);
    if (!again || wire::encode(*again) != once) std::abort();
  }
  if (const auto response = wire::decode_rpc_response(in)) {
    const Bytes once = wire::encode(*response);
    const auto again = wire::decode_rpc_response(once);
    if (!again || wire::encode(*again) != once) std::abort();
  }
  return 0;
}
