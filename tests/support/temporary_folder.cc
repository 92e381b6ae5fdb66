#include "tests/support/temporary_folder.h"

#include <stdlib.h>  // mkdtemp

#include "common/base/error.h"

namespace kindred::test {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "kindred-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail_errno(name, "mkdtemp");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // a test may have removed it, or made a part of it unreadable
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace kindred::test
