#include "http/fetch.h"

#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <filesystem>
#include <fstream>
#include <optional>

#include "http/encoding.h"
#include "io/file_descriptor.h"

namespace hg::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using Response = beast::http::response<beast::http::string_body>;

struct Destination {
  std::string scheme;
  std::string host;
  std::string port;
  std::string authority;  // as the Host field wants it: with a port that is not the scheme's
  std::string path;
  std::string credentials;  // USER:PASSWORD, empty without
  std::string etag;
};

// One GET on its own small loop, all of it under one deadline.
template <class Stream>
class Getter {
 public:
  Getter(asio::io_context& context, Stream& stream, const Destination& target) : context_(context), stream_(stream), target_(target) {
    parser_.body_limit(kMaxTextBytes);
    request_.method(beast::http::verb::get);
    request_.target(target.path);
    request_.set(beast::http::field::host, target.authority);
    request_.set(beast::http::field::user_agent, "hypergate");
    request_.set(beast::http::field::connection, "close");
    if (!target.credentials.empty())
      request_.set(beast::http::field::authorization, "Basic " + encode_base64(as_bytes(target.credentials)));
    if (!target.etag.empty()) request_.set(beast::http::field::if_none_match, target.etag);
  }

  Expected<Fetched> run(Duration timeout) {
    resolver_.async_resolve(target_.host, target_.port, [this](beast::error_code error, auto found) {
      if (failed(error)) return;
      beast::get_lowest_layer(stream_).async_connect(found, [this](beast::error_code connect_error, auto) {
        if (!failed(connect_error)) secure();
      });
    });
    context_.run_for(timeout);
    if (!done_) return Error{"EFETCH", "no answer in time"};
    if (error_) return Error{"EFETCH", error_.message()};
    Response response = parser_.release();
    if (response.result() == beast::http::status::not_modified && !target_.etag.empty()) return Fetched{true, {}, target_.etag};
    if (response.result() != beast::http::status::ok) return Error{"EFETCH", "status " + std::to_string(response.result_int())};
    return Fetched{false, std::move(response.body()), std::string(response[beast::http::field::etag])};
  }

 private:
  bool failed(beast::error_code error) {
    if (error) {
      error_ = error;
      done_ = true;
    }
    return static_cast<bool>(error);
  }
  void secure() {
    if constexpr (std::is_same_v<Stream, beast::tcp_stream>) {
      exchange();
    } else {
      stream_.async_handshake(asio::ssl::stream_base::client, [this](beast::error_code error) {
        if (!failed(error)) exchange();
      });
    }
  }
  void exchange() {
    beast::http::async_write(stream_, request_, [this](beast::error_code error, size_t) {
      if (failed(error)) return;
      beast::http::async_read(stream_, buffer_, parser_, [this](beast::error_code read_error, size_t) {
        if (!failed(read_error)) done_ = true;
      });
    });
  }

  asio::io_context& context_;
  Stream& stream_;
  const Destination& target_;
  asio::ip::tcp::resolver resolver_{context_};
  beast::http::request<beast::http::empty_body> request_;
  beast::flat_buffer buffer_;
  beast::http::response_parser<beast::http::string_body> parser_;
  beast::error_code error_;
  bool done_ = false;
};

Expected<Fetched> get_plain(const Destination& target, Duration timeout) {
  asio::io_context context;
  beast::tcp_stream stream(context);
  return Getter<beast::tcp_stream>(context, stream, target).run(timeout);
}

Expected<Fetched> get_secure(const Destination& target, Duration timeout) {
  asio::io_context context;
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_default_verify_paths();
  tls.set_verify_mode(asio::ssl::verify_peer);
  beast::ssl_stream<beast::tcp_stream> stream(context, tls);
  stream.set_verify_callback(asio::ssl::host_name_verification(target.host));
  if (SSL_set_tlsext_host_name(stream.native_handle(), target.host.c_str()) != 1) return Error{"EFETCH", "bad host name"};
  return Getter<beast::ssl_stream<beast::tcp_stream>>(context, stream, target).run(timeout);
}

/// Throws nothing: without a descriptor or a thread left there is no loop or resolver to be had.
Expected<Fetched> get(const Destination& target, Duration timeout) {
  try {
    return target.scheme == "https" ? get_secure(target, timeout) : get_plain(target, timeout);
  } catch (const boost::system::system_error& failure) {
    return Error{"EFETCH", failure.code().message()};
  }
}

/// The library takes HOST:WORD/PATH as well, and begins its path with the word.
std::optional<boost::urls::url_view> parse_url(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || url->host().empty() || !(url->encoded_path().empty() || url->encoded_path().front() == '/')) return std::nullopt;
  return *url;
}

Destination destination_of(const boost::urls::url_view& url, const std::string& etag) {
  Destination target{std::string(url.scheme()),
                     std::string(url.host_address()),
                     std::string(url.port()),
                     std::string(url.encoded_host_and_port()),
                     std::string(url.encoded_target()),
                     {},
                     etag};
  if (target.port.empty()) target.port = target.scheme == "https" ? "443" : "80";
  if (target.path.empty() || target.path.front() != '/') target.path.insert(0, "/");
  if (url.has_userinfo()) target.credentials = url.user() + ":" + url.password();
  return target;
}

}  // namespace

bool is_url(const std::string& source) { return source.starts_with("http://") || source.starts_with("https://"); }

std::string shown_url(const std::string& url) {
  std::string shown = url.substr(0, url.find_first_of("?#"));
  const size_t authority = shown.find("://") + 3;
  // What is no URL may have been meant to have an '@' or a '/' in its password.
  const size_t end = parse_url(url) ? shown.find('/', authority) : std::string::npos;
  if (const size_t at = shown.rfind('@', end); at != std::string::npos) shown.erase(authority, at + 1 - authority);
  return shown.size() < url.size() && url.find('?') != std::string::npos ? shown + "?…" : shown;
}

Expected<std::string> fetch_url(const std::string& url, Duration timeout) {
  auto fetched = fetch_url_since(url, {}, timeout);
  if (!fetched) return fetched.error();
  return std::move(fetched->text);
}

Expected<Fetched> fetch_url_since(const std::string& url, const std::string& etag, Duration timeout) {
  const auto parsed = parse_url(url);
  if (!parsed) return Error{"EFETCH", "'" + shown_url(url) + "' is not a URL; give http://HOST/PATH or https://HOST/PATH"};
  auto fetched = get(destination_of(*parsed, etag), timeout);
  if (!fetched) return Error{"EFETCH", "cannot read " + shown_url(url) + ": " + fetched.error().message};
  return fetched;
}

Expected<std::string> read_text_file(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return Error{"ENOENT", "cannot read '" + path + "': no such file"};
  if (std::filesystem::is_directory(status)) return Error{"EISDIR", "cannot read '" + path + "': it is a directory"};
  std::ifstream file(path, std::ios::binary);
  if (!file) return io::errno_error(errno, "cannot read '" + path + "'");
  std::string text;
  char block[65536];
  while (file.read(block, sizeof block) || file.gcount() > 0) {
    text.append(block, static_cast<size_t>(file.gcount()));
    if (text.size() > kMaxTextBytes) return Error{"EFBIG", "cannot read '" + path + "': larger than 16 MiB"};
  }
  if (file.bad()) return io::errno_error(errno, "cannot read '" + path + "'");
  return text;
}

}  // namespace hg::http
