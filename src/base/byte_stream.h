// An ordered, reliable byte stream: a UDX stream, an encrypted connection over one, or a test pipe.
//
//   on_open? -> on_data* -> on_end? -> on_close     (on_close exactly once, then nothing more)
//
// Ownership: whoever holds the stream owns it; destroying the object silences it. A handler may
// destroy the stream in on_close only (elsewhere: destroy(), then let go in on_close or by post()).
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/expected.h"

namespace hg {

class ByteStreamHandler {
 public:
  virtual ~ByteStreamHandler() = default;
  /// The other side is known to be there (encrypted connection: its header arrived and verified).
  virtual void on_open() {}
  /// In order; `data` is valid during the call only. An encrypted connection keeps message boundaries.
  virtual void on_data(ByteView data) = 0;
  /// All data of a read burst has been delivered: act here once instead of once per message.
  virtual void on_data_end_of_burst() {}
  /// The other side ended its direction.
  virtual void on_end() {}
  /// write() may be called again after it had returned false.
  virtual void on_drain() {}
  /// Closed: gracefully (nullopt) or with the error.
  virtual void on_close(const std::optional<Error>& error) = 0;
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  virtual void set_handler(ByteStreamHandler* handler) = 0;
  /// Takes the bytes; they are always accepted. False: more is queued than the stream wants, wait for on_drain().
  virtual bool write(Buffer bytes) = 0;
  /// Head and tail room a Buffer should have so that write() need not copy.
  virtual size_t write_headroom() const = 0;
  virtual size_t write_tailroom() const = 0;
  /// The largest write that does not hold up the next one for long (a hint; changes with the path).
  virtual size_t write_size() const { return SIZE_MAX; }
  /// Bytes accepted and not yet handed to the network for the first time.
  virtual size_t queued_bytes() const = 0;
  /// Stops on_data (the peer is slowed down through the receive window), or goes on.
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  /// Ends our direction after what was written.
  virtual void end() = 0;
  /// Ends both at once; unsent data is lost; on_close follows (later, never from inside this call).
  virtual void destroy() = 0;
};

}  // namespace hg
