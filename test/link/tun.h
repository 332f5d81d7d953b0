// A TUN device in a network namespace: whole IP packets, one per read or write, without segmentation or checksum offload (so a sender's
// UDP_SEGMENT is refused with EIO, as on many real devices). Linux only; needs the right to make devices. One thread.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/expected.h"
#include "io/file_descriptor.h"

namespace hg::link {

/// Makes the device `name` in /run/netns/`netns` (no address, not up); it goes away with the descriptor, which is non-blocking.
Expected<io::FileDescriptor> open_tun(const std::string& netns, const std::string& name);

}  // namespace hg::link
