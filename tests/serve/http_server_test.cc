#include "serve/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <semaphore>
#include <thread>

#include "serve/base64.h"
#include "tests/serve/serve_fixture.h"

namespace kindred {
namespace {

using std::chrono::milliseconds;

/// A plain socket, to send what a well-behaved client would not.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail_errno("test", "connect");
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False when the server hung up.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  /// Everything until the server closes, or until `end` is seen; at most 20 s.
  std::string receive(std::string_view end = {}) {
    std::string all;
    char buffer[4096];
    pollfd ready{fd_, POLLIN, 0};
    while (end.empty() || all.find(end) == std::string::npos) {
      if (::poll(&ready, 1, 20'000) <= 0) return all + " (timed out)";
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }

 private:
  const int fd_;
};

std::string post(std::string_view content_type, std::string_view body, std::string_view extra = "") {
  return concat("POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: ", content_type,
                "\r\nContent-Length: ", body.size(), "\r\n", extra, "\r\n", body);
}

/// The answer to raw bytes, after which nothing more is sent.
std::string answer(TestDaemon& daemon, std::string_view bytes) {
  RawClient client(daemon.http->port());
  client.send(bytes);
  return client.receive();
}
std::string status_of(std::string_view answer) {
  return std::string(answer.substr(0, std::min<size_t>(12, answer.size())));
}

TEST(HttpServer, AnswersASearchOverLoopback) {
  TestDaemon daemon;
  const SearchResponse response = daemon.client().search(quarter_png(4), 2, 0.5);
  EXPECT_EQ(response.results.at(0).hits.at(0).item.id, "item4");
  EXPECT_EQ(response.results.at(0).decision, Decision::match);
  EXPECT_EQ(response.threshold->value, 0.5);
  EXPECT_EQ(daemon.client().search(quarter_png(4), 2, TargetFpr{1e-2}).threshold->calibration->threshold,
            0.97);
}

TEST(HttpServer, KeepsAConnectionOpenForMoreRequests) {
  TestDaemon daemon;
  RawClient client(daemon.http->port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(client.receive("alive").find("200 OK"), std::string::npos);
  }
  // Pipelined: both are answered, in order, and the second one asks to close.
  client.send(
      "GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string both = client.receive();
  EXPECT_LT(both.find("kindred\""), both.find("alive"));
  EXPECT_NE(both.find("alive"), std::string::npos);
}

TEST(HttpServer, SpeaksHttp10) {
  TestDaemon daemon;
  EXPECT_TRUE(answer(daemon, "GET /livez HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200"));
}

TEST(HttpServer, LetsALargeUploadBeginWhenAskedFirst) {
  TestDaemon daemon;
  RawClient client(daemon.http->port());
  const std::string png = quarter_png(1);
  client.send(
      concat("POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
             "Connection: close\r\nContent-Length: ",
             png.size(), "\r\n\r\n"));
  EXPECT_TRUE(client.receive("\r\n\r\n").starts_with("HTTP/1.1 100 Continue"));
  client.send(png);
  EXPECT_EQ(status_of(client.receive()), "HTTP/1.1 200");
}

TEST(HttpServer, AcceptsAChunkedBody) {
  TestDaemon daemon;
  const std::string body = R"({"k":1,"queries":[{"id":"item1"}]})";
  const std::string head =
      "POST /v1/search HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  char size[8];
  std::snprintf(size, sizeof size, "%zx", body.size() - 5);
  EXPECT_EQ(status_of(answer(daemon, concat(head, "5\r\n", body.substr(0, 5), "\r\n", size, "\r\n",
                                            body.substr(5), "\r\n0\r\n\r\n"))),
            "HTTP/1.1 200");
}

struct BadUpload {
  const char* name;
  std::string bytes;  // sent as they are
  const char* expected;
};

std::vector<BadUpload> bad_uploads() {
  const std::string close = "Connection: close\r\n", jpeg = encode_jpeg(quarter_picture(1, 64), 90),
                    png = quarter_png(1);
  const auto image = [&](std::string_view body) { return post("image/png", body, close); };
  const auto json = [&](std::string_view body) { return post("application/json", body, close); };
  const auto vector = [&](const std::vector<float>& v) {
    return json(concat(R"({"queries":[{"vector":{"f32_base64":")",
                       encode_base64({reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)}),
                       R"("}}]})"));
  };
  std::string huge_png = png;  // its header says 2^30 x 2^30
  huge_png.replace(16, 8, std::string("\x40\0\0\0\x40\0\0\0", 8));
  const std::string head = "POST /v1/search HTTP/1.1\r\nHost: x\r\n";
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {
      {"an empty image", image(""), "HTTP/1.1 400"},
      {"no body at all", head + "Content-Type: image/png\r\n" + close + "\r\n", "HTTP/1.1 400"},
      {"a truncated JPEG", image(jpeg.substr(0, jpeg.size() / 2)), "HTTP/1.1 422"},
      {"a truncated PNG", image(png.substr(0, png.size() - 20)), "HTTP/1.1 422"},
      {"a PNG of huge declared size", image(huge_png), "HTTP/1.1 422"},
      {"text as an image", image("hello"), "HTTP/1.1 422"},
      {"a wrong content type", post("text/plain", png, close), "HTTP/1.1 415"},
      {"an image said to be JSON", json(png), "HTTP/1.1 400"},
      {"broken JSON", json("{\"queries\":"), "HTTP/1.1 400"},
      {"deep JSON", json(std::string(5000, '[')), "HTTP/1.1 400"},
      {"a vector with NaN", vector(std::vector<float>(kDim, nan)), "HTTP/1.1 422"},
      {"a vector of another dimension", vector({1, 2, 3}), "HTTP/1.1 422"},
      {"a zero vector", vector(std::vector<float>(kDim, 0.0f)), "HTTP/1.1 422"},
      {"an unknown id", json(R"({"queries":[{"id":"nobody"}]})"), "HTTP/1.1 404"},
      {"bad base64", json(R"({"queries":[{"image":{"base64":"***"}}]})"), "HTTP/1.1 400"},
      {"a form without end", post("multipart/form-data; boundary=b", "--b\r\n\r\n", close), "HTTP/1.1 400"},
      {"garbage chunks", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400"},
      {"two lengths", head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 400"},
      {"a length that is no number", head + "Content-Length: -5\r\n\r\n", "HTTP/1.1 400"},
      {"an oversized header", head + "X: " + std::string(9000, 'x') + "\r\n\r\n", "HTTP/1.1 431"},
      {"a header without end", head + "X: " + std::string(70'000, 'x'), "HTTP/1.1 431"},
      {"a body declared too large", head + "Content-Length: 99999999\r\n\r\n", "HTTP/1.1 413"},
      {"a chunk declared too large", head + "Transfer-Encoding: chunked\r\n\r\n7ffffff\r\n", "HTTP/1.1 413"},
      {"no HTTP", "\x16\x03\x01 this might be TLS\r\n\r\n", "HTTP/1.1 400"},
      {"another version of HTTP", "GET /livez HTTP/3.0\r\n\r\n", "HTTP/1.1 400"},
  };
}

TEST(HttpServer, RefusesEveryBadUploadAndLivesOn) {
  TestDaemon daemon;
  for (const BadUpload& upload : bad_uploads()) {
    const std::string got = answer(daemon, upload.bytes);
    EXPECT_EQ(status_of(got), upload.expected) << upload.name << ": " << got.substr(0, 600);
    EXPECT_NE(got.find("application/problem+json"), std::string::npos) << upload.name;
  }
  EXPECT_EQ(daemon.client().search(quarter_png(4), 1, {}).results.at(0).hits.at(0).item.id, "item4");
}

TEST(HttpServer, TellsASlowClientAndCutsItOff) {
  ServerOptions options;
  options.header_timeout = options.body_timeout = milliseconds(100);
  TestDaemon daemon(options);
  EXPECT_EQ(status_of(answer(daemon, "GET /livez HT")), "HTTP/1.1 408");
  EXPECT_EQ(status_of(answer(daemon,
                             "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")),
            "HTTP/1.1 408");
}

TEST(HttpServer, ClosesASilentConnection) {
  ServerOptions options;
  options.idle_timeout = milliseconds(100);
  TestDaemon daemon(options);
  EXPECT_EQ(RawClient(daemon.http->port()).receive(), "");
}

TEST(HttpServer, SurvivesClientsThatVanish) {
  TestDaemon daemon;
  const std::string whole = post("image/png", quarter_png(1));
  for (size_t sent = 0; sent <= whole.size(); sent += 1 + whole.size() / 40) {
    RawClient(daemon.http->port()).send(std::string_view(whole).substr(0, sent));
  }
  RawClient(daemon.http->port()).send(whole);  // gone before its answer
  EXPECT_EQ(daemon.client().search(quarter_png(4), 1, {}).results.at(0).hits.at(0).item.id, "item4");
}

TEST(HttpServer, TurnsAwayConnectionsBeyondTheLimit) {
  ServerOptions options;
  options.connections = 8;
  TestDaemon daemon(options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(daemon.http->port()));
    clients.back()->send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(clients.back()->receive("alive").find("200"), std::string::npos);
  }
  EXPECT_EQ(status_of(RawClient(daemon.http->port()).receive()), "HTTP/1.1 503");
  clients.pop_back();
  // The place is free once the server has seen the other one leave.
  while (status_of(answer(daemon, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) !=
         "HTTP/1.1 200") {
    std::this_thread::yield();
  }
}

TEST(HttpServer, RefusesRequestsBeyondTheQueue) {
  std::counting_semaphore<100> entered{0}, leave{0};
  std::atomic<bool> gated{false};
  ServerOptions options;
  options.waiting_requests = 2;
  TestDaemon daemon(options, {}, [&](std::span<const Image>) {
    if (!gated) return;
    entered.release();
    leave.acquire();
  });
  gated = true;
  const auto ask = [&](uint64_t i) {
    return std::async(std::launch::async, [&, i] { return daemon.client().search(quarter_png(i), 1, {}); });
  };
  auto first = ask(0);
  entered.acquire();
  auto second = ask(1);
  while (daemon.metrics.text().find("kindred_embed_queue_images 1\n") == std::string::npos)
    std::this_thread::yield();
  const HttpResponse refused = daemon.client().send({"GET", "/livez", "", "", ""});
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(parse_json(refused.body, "test")["type"], "urn:kindred:queue-full");
  leave.release(10);
  EXPECT_EQ(first.get().results.at(0).hits.at(0).item.id, "item0");
  EXPECT_EQ(second.get().results.at(0).hits.at(0).item.id, "item1");
  EXPECT_EQ(daemon.client().send({"GET", "/livez", "", "", ""}).status, 200);
}

TEST(HttpServer, ConcurrentRequestsGetTheAnswersOfSequentialOnes) {
  TestDaemon daemon;
  constexpr uint64_t kRequests = 60;
  const auto ask = [&](uint64_t i) {
    SearchResponse response = daemon.client().search(quarter_png(500 + i), 5, 0.9);
    response.times = {};
    return json_text(response.to_json());
  };
  std::vector<std::string> alone(kRequests);
  for (uint64_t i = 0; i < kRequests; ++i) alone[i] = ask(i);
  std::atomic<uint64_t> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i; (i = next++) < kRequests;) EXPECT_EQ(ask(i), alone[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(HttpServer, DrainsUnderLoadWithoutLosingARequestThatWasTaken) {
  auto daemon = std::make_unique<TestDaemon>();
  std::atomic<int> answered{0}, refused{0}, lost{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const std::string request = post("image/png", quarter_png(t), "Connection: close\r\n");
      for (;;) {
        try {
          RawClient client(daemon->http->port());
          client.send(request);
          const std::string got = client.receive();
          ++(status_of(got) == "HTTP/1.1 200" && got.ends_with("}}") ? answered : lost);
        } catch (const Error&) {  // the door is closed: this one was never taken
          ++refused;
          return;
        }
      }
    });
  }
  while (answered < 40) std::this_thread::yield();
  daemon->routes->drain();
  daemon->http->drain();
  for (std::thread& thread : threads) thread.join();
  while (!daemon->http->drained()) std::this_thread::yield();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(refused, 8);
}

TEST(HttpServer, DrainWaitsForAnUploadThatHasBegun) {
  TestDaemon daemon;
  const std::string request = post("image/png", quarter_png(2));
  RawClient uploading(daemon.http->port()), idle(daemon.http->port());
  idle.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  idle.receive("alive");
  uploading.send(std::string_view(request).substr(0, request.size() - 10));
  // The part is in when a request that was sent later has been answered.
  idle.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  idle.receive("alive");
  daemon.http->drain();
  EXPECT_EQ(idle.receive(), "");  // closed at once
  EXPECT_FALSE(daemon.http->drained());
  uploading.send(std::string_view(request).substr(request.size() - 10));
  const std::string got = uploading.receive();
  EXPECT_EQ(status_of(got), "HTTP/1.1 200");
  EXPECT_NE(got.find("Connection: close"), std::string::npos);
  while (!daemon.http->drained()) std::this_thread::yield();
  EXPECT_THROW(daemon.client().send({"GET", "/livez", "", "", ""}), Error);
}

TEST(HttpServer, MetricsCountWhatNeverBecameARequest) {
  TestDaemon daemon;
  answer(daemon, "nonsense\r\n\r\n");
  const std::string text = daemon.client().send({"GET", "/metrics", "", "", ""}).body;
  EXPECT_NE(text.find("kindred_http_refused_total{reason=\"bad-http\"} 1\n"), std::string::npos);
}

TEST(HttpServer, ListensOnLoopbackOnlyUnlessTold) {
  const HttpHandler handler = [](const HttpRequest&) { return HttpResponse{}; };
  const HttpServer::Refuse refuse = [](const Problem&) { return HttpResponse{}; };
  ServerOptions options;
  options.port = 0;
  for (const char* address : {"0.0.0.0", "::", "192.0.2.1", "example.com", ""}) {
    options.address = address;
    EXPECT_THROW(HttpServer(options, handler, refuse), UsageError) << address;
  }
  options.address = "0.0.0.0";
  options.insecure_bind = true;
  EXPECT_GT(HttpServer(options, handler, refuse).port(), 0);
}

TEST(HttpServer, SaysThatAPortIsTaken) {
  TestDaemon daemon;
  ServerOptions options;
  options.port = daemon.http->port();
  try {
    HttpServer(
        options, [](const HttpRequest&) { return HttpResponse{}; },
        [](const Problem&) { return HttpResponse{}; });
    FAIL() << "two servers on one port";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("in use"), std::string::npos) << error.what();
  }
}

TEST(Client, SaysWhenNobodyAnswers) {
  std::string url;
  {
    TestDaemon daemon;
    url = daemon.url();
  }
  EXPECT_THROW(Client(url).send({"GET", "/livez", "", "", ""}), Error);
}

TEST(Client, GivesUpOnASilentServer) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const Client client(concat("http://127.0.0.1:", ntohs(address.sin_port)), milliseconds(100));
  EXPECT_THROW(client.send({"GET", "/livez", "", "", ""}), Error);
  ::close(fd);
}

TEST(Client, PassesTheDaemonsWordsOn) {
  TestDaemon daemon;
  try {
    daemon.client().search("rubbish", 3, {});
    FAIL() << "rubbish was accepted";
  } catch (const Problem& problem) {
    EXPECT_EQ(problem.status(), 422);
    EXPECT_EQ(problem.type(), "undecodable-image");
  }
}

}  // namespace
}  // namespace kindred
