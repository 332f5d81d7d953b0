#include "tunnel/repeatable.h"

#include <gtest/gtest.h>

#include <string>

#include "tunnel/early_data.h"

namespace hg::tunnel {
namespace {

using namespace std::string_literals;

bool repeatable(const std::string& said) { return may_be_repeated(as_bytes(said)); }

std::string postgres(uint32_t code, const std::string& rest = {}) {
  std::string message(8, '\0');
  store_u32_be(reinterpret_cast<uint8_t*>(message.data()), static_cast<uint32_t>(8 + rest.size()));
  store_u32_be(reinterpret_cast<uint8_t*>(message.data()) + 4, code);
  return message + rest;
}

TEST(Repeatable, TheHeadOfASafeRequestWholeOrInPart) {
  const std::string head = "GET /a HTTP/1.1\r\nHost: b\r\nCookie: c\r\n\r\n";
  for (size_t size = 4; size <= head.size(); ++size) EXPECT_TRUE(repeatable(head.substr(0, size))) << size;
  EXPECT_TRUE(repeatable("HEAD / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(repeatable("OPTIONS * HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(repeatable("GET /old\n"));
}

TEST(Repeatable, NoOtherMethodAndNothingBehindTheHead) {
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "GETS", ""})
    EXPECT_FALSE(repeatable(method + " / HTTP/1.1\r\n\r\n"s)) << method;
  EXPECT_FALSE(repeatable("GE"));
  for (const char* end : {"\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"}) {
    const std::string head = "GET / HTTP/1.1\r\nHost: b"s + end;
    EXPECT_TRUE(repeatable(head));
    EXPECT_FALSE(repeatable(head + "P")) << "a body, or the next request";
    EXPECT_FALSE(repeatable(head + "POST / HTTP/1.1\r\n\r\n"));
  }
}

TEST(Repeatable, AFirstLineThatIsNotHttpEndsThere) {
  EXPECT_TRUE(repeatable("GET key\r\n"));
  EXPECT_FALSE(repeatable("GET key\r\nINCR counter\r\n"));
  EXPECT_FALSE(repeatable("GET key\nINCR"));
  EXPECT_FALSE(repeatable("GET / HTTP/2.0\r\nHost: b\r\n"));
}

TEST(Repeatable, AClientHelloAndNothingBehindIt) {
  const std::string hello = "\x16\x03\x01\x00\x08\x01"s + std::string(7, 'h');
  EXPECT_FALSE(repeatable(hello.substr(0, 5)));
  for (size_t size = 6; size <= hello.size(); ++size) EXPECT_TRUE(repeatable(hello.substr(0, size))) << size;
  EXPECT_FALSE(repeatable(hello + '\x17')) << "early data of TLS 1.3";
  EXPECT_FALSE(repeatable("\x17\x03\x03\x00\x08\x01"s));
  EXPECT_FALSE(repeatable("\x16\x03\x01\x00\x08\x02"s));
  EXPECT_FALSE(repeatable("\x16\x02\x01\x00\x08\x01"s));
}

TEST(Repeatable, AnSshVersionLine) {
  EXPECT_TRUE(repeatable("SSH-2.0-OpenSSH_9.2\r\n"));
  EXPECT_TRUE(repeatable("SSH-2.0-Ope"));
  EXPECT_FALSE(repeatable("SSH-2.0-OpenSSH_9.2\r\n\x14"));
  EXPECT_FALSE(repeatable("SSH-1.5-old\n"));
}

TEST(Repeatable, HowPostgresqlBegins) {
  EXPECT_TRUE(repeatable(postgres(80877103)));
  EXPECT_TRUE(repeatable(postgres(80877104)));
  const std::string startup = postgres(3 << 16, "user\0me\0\0"s);
  EXPECT_TRUE(repeatable(startup));
  EXPECT_FALSE(repeatable(startup.substr(0, startup.size() - 1)));
  EXPECT_FALSE(repeatable(startup + "Q"));
  EXPECT_FALSE(repeatable(postgres(80877102, "12345678"))) << "cancels something";
}

TEST(Repeatable, NothingElse) {
  for (const std::string& said : {""s, "EHLO me\r\n"s, "*1\r\n$4\r\nINCR\r\n"s, "\x10\x0c\x00\x04MQTT"s, "\0"s, std::string(100, '\0')})
    EXPECT_FALSE(repeatable(said)) << said;
}

TEST(EarlyData, WhatMayGoAheadIsJoinedAndWhatMayNotIsKeptApart) {
  EarlyData said(Protocol::kTcp);
  EXPECT_TRUE(said.add(as_bytes("GET / HTTP/1.1\r\n")));
  EXPECT_TRUE(said.add(as_bytes("\r\n")));
  EXPECT_FALSE(said.add(as_bytes("POST")));
  ASSERT_EQ(said.ahead().size(), 1u);
  EXPECT_EQ(as_text(said.ahead()[0]), "GET / HTTP/1.1\r\n\r\n");
  ASSERT_EQ(said.behind().size(), 1u);
  EXPECT_EQ(as_text(said.behind()[0]), "POST");
  EXPECT_EQ(bytes_in(said.all()), 22u);
}

TEST(EarlyData, WhoeverSaysItByteByByteWaits) {
  EarlyData said(Protocol::kTcp);
  ASSERT_TRUE(said.add(as_bytes("GET /")));
  for (int reads = 1; reads < EarlyData::kMostReads; ++reads) ASSERT_TRUE(said.add(as_bytes("a")));
  EXPECT_FALSE(said.add(as_bytes("a")));
}

TEST(EarlyData, DatagramsStayApart) {
  EarlyData said(Protocol::kUdp);
  for (const char* datagram : {"a", "", "POST"}) EXPECT_TRUE(said.add(as_bytes(datagram)));
  EXPECT_EQ(said.ahead().size(), 3u);
  EXPECT_TRUE(said.behind().empty());
}

}  // namespace
}  // namespace hg::tunnel
