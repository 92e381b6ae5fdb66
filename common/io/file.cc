#include "common/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "common/base/error.h"

namespace kindred {

namespace {

// Closes on the way out.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Opens for reading; directories are refused, everything else that can be read is taken.
int open_to_read(const std::string& path, struct stat& info) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(path, "open");
  if (::fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    ::close(fd);
    fail(path, ": is a directory, expected a file");
  }
  return fd;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

std::string read_file(const std::string& path, int64_t max_bytes) {
  struct stat info {};
  const Descriptor file{open_to_read(path, info)};
  const auto too_large = [&](int64_t bytes) {
    fail(path, ": ", bytes_text(bytes), " or more, expected at most ", bytes_text(max_bytes));
  };
  if (info.st_size > max_bytes) too_large(info.st_size);
  // The size is a hint only: pipes have none, and a file can grow meanwhile.
  std::string content(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == content.size()) content.resize(2 * content.size());
    const ssize_t got = ::read(file.fd, content.data() + filled, content.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path, "read");
    if (got == 0) break;
    filled += static_cast<size_t>(got);
    if (static_cast<int64_t>(filled) > max_bytes) too_large(static_cast<int64_t>(filled));
  }
  content.resize(filled);
  return content;
}

MappedFile::MappedFile(const std::string& path) {
  struct stat info {};
  const Descriptor file{open_to_read(path, info)};
  if (!S_ISREG(info.st_mode)) fail(path, ": is not a regular file");
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;  // nothing can be mapped, and bytes() is empty
  void* const mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (mapped == MAP_FAILED) fail_errno(path, "mmap");
  data_ = mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    // A rename would put a plain file in the place of /dev/null.
    fail(path_, ": ", S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file",
         ", cannot be written over");
  }
  static std::atomic<uint64_t> counter{0};
  do {  // a name can be left over from a process that was killed and had our number
    temporary_ = concat(path_, ".tmp-", ::getpid(), "-", counter++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) fail_errno(path_, "creating a file in its folder");
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  KINDRED_ASSERT(fd_ >= 0);
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(fd_, next, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_errno(path_, "write");
    next += done;
    bytes -= static_cast<size_t>(done);
  }
}

void AtomicFile::commit() {
  KINDRED_ASSERT(fd_ >= 0);
  if (::fsync(fd_) != 0) fail_errno(path_, "fsync");
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0) fail_errno(path_, "close");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno(path_, "rename");
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void sync_folder(const std::string& path) {
  const Descriptor folder{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.fd < 0) fail_errno(path, "open");
  // Some file systems have nothing to flush for a folder and say so.
  if (::fsync(folder.fd) != 0 && errno != EINVAL && errno != ENOTSUP) fail_errno(path, "fsync");
}

}  // namespace kindred
