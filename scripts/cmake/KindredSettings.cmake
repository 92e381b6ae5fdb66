# Compiler flags for everything of ours. Targets add none by hand.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

add_library(kindred_flags INTERFACE)
target_include_directories(kindred_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(kindred_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -Wno-sign-conversion>
  # Same results with and without vector units: no contraction beyond what the source says would be slower by half
  # on dot products, so contraction stays on; errno and trapping are what stop loops from becoming vector loops.
  $<$<COMPILE_LANGUAGE:CXX>:-fno-math-errno -fno-trapping-math -fopenmp-simd>)
if(KINDRED_NATIVE)
  target_compile_options(kindred_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native -mprefer-vector-width=512>)
endif()
if(KINDRED_SANITIZE)
  list(JOIN KINDRED_SANITIZE "," sanitizers)
  # Warnings that come from data flow (maybe-uninitialized in std::regex, mismatched-new-delete in coroutine frames, tsan
  # in Boost.Asio) differ with what the sanitizers put in between; the Release build is the one that must have none.
  target_compile_options(kindred_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-error>)
  target_compile_options(kindred_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${sanitizers} -fno-omit-frame-pointer -g1>)
  target_link_options(kindred_flags INTERFACE -fsanitize=${sanitizers})
endif()

if(KINDRED_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "KINDRED_FUZZ=ON needs clang, found ${CMAKE_CXX_COMPILER_ID}; configure with CXX=clang++")
  endif()
  target_compile_options(kindred_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(kindred_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
