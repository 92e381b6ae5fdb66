# The few words that the CMakeLists.txt files of this project use.
#
#   kindred_module(ops SOURCES_IN ops DEPENDS engine LIBRARIES dnnl)   one folder (*.cc, not main.cc, not *_main.cc)
#   kindred_single_source(ops DIR ops)                                 its kernels once more under nvcc
#   kindred_program(kindred-train SOURCES main.cc MODULES train)
#   kindred_test(ops_test SOURCES_IN common/ops MODULES ops LABELS ops)
#
# Modules are OBJECT libraries, so that the linker never drops a registration line; a program names the modules it
# uses and gets everything they depend on.

function(kindred_module name)
  cmake_parse_arguments(ARG "" "SOURCES_IN" "SOURCES;DEPENDS;LIBRARIES;DEFINITIONS" ${ARGN})
  set(sources)
  foreach(source ${ARG_SOURCES})
    list(APPEND sources ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  endforeach()
  if(ARG_SOURCES_IN)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SOURCES_IN}/*.cc)
    list(FILTER found EXCLUDE REGEX "main\\.cc$")
    list(APPEND sources ${found})
  endif()
  add_library(kindred_${name} OBJECT ${sources})
  target_link_libraries(kindred_${name} PUBLIC kindred_flags ${ARG_LIBRARIES})
  target_compile_definitions(kindred_${name} PUBLIC ${ARG_DEFINITIONS})
  foreach(dependency ${ARG_DEPENDS})
    target_link_libraries(kindred_${name} PUBLIC kindred_${dependency})
  endforeach()
  set_property(GLOBAL PROPERTY KINDRED_DEPENDS_${name} ${ARG_DEPENDS})
endfunction()

# All modules that `modules` stand on, themselves included.
function(kindred_closure out)
  set(open ${ARGN})
  set(closed)
  while(open)
    list(POP_FRONT open module)
    if(NOT module IN_LIST closed)
      list(APPEND closed ${module})
      get_property(more GLOBAL PROPERTY KINDRED_DEPENDS_${module})
      list(APPEND open ${more})
    endif()
  endwhile()
  set(${out} ${closed} PARENT_SCOPE)
endfunction()

function(kindred_link target)
  kindred_closure(modules ${ARGN})
  foreach(module ${modules})
    target_link_libraries(${target} PRIVATE kindred_${module})
  endforeach()
endfunction()

function(kindred_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;MODULES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  kindred_link(${name} ${ARG_MODULES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# Compiles every single-source file (those that include launch.h) of a module's folder by nvcc, warnings as errors.
# A wrapper .cu includes the .cc, because a source file has one language per folder.
function(kindred_single_source name)
  cmake_parse_arguments(ARG "" "DIR" "" ${ARGN})
  if(NOT KINDRED_HAVE_CUDA)
    return()
  endif()
  file(GLOB candidates CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_DIR}/*.cc)
  set(wrappers)
  foreach(file ${candidates})
    file(STRINGS ${file} uses_launch REGEX "#include \"common/engine/launch.h\"")
    if(uses_launch AND NOT file MATCHES "_(cpu|cuda)\\.cc$")
      get_filename_component(stem ${file} NAME_WE)
      set(wrapper ${PROJECT_BINARY_DIR}/cuda/${name}/${stem}.cu)
      file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${file}\"\n")
      list(APPEND wrappers ${wrapper})
    endif()
  endforeach()
  if(wrappers)
    add_library(kindred_${name}_cuda OBJECT EXCLUDE_FROM_ALL ${wrappers})
    target_include_directories(kindred_${name}_cuda PRIVATE ${PROJECT_SOURCE_DIR})
    set_target_properties(kindred_${name}_cuda PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON)
    target_compile_options(kindred_${name}_cuda PRIVATE --extended-lambda -Werror=all-warnings
                           -Xcompiler=-Wall,-Wextra,-Werror)
    # `cmake --build . --target kindred_cuda`: all that nvcc has to accept. No program links it yet.
    if(NOT TARGET kindred_cuda)
      add_custom_target(kindred_cuda)
    endif()
    add_dependencies(kindred_cuda kindred_${name}_cuda)
  endif()
endfunction()

# Tests run side by side, some with many threads of their own: OpenMP's threads must not spin while they wait.
#
# One test program. Every TEST becomes a CTest test named "program.Subject.Sentence" with the given labels. With RANKS
# the program is instead one CTest test, run once under mpirun by so many ranks.
function(kindred_test name)
  cmake_parse_arguments(ARG "" "SOURCES_IN;TIMEOUT;RANKS" "SOURCES;MODULES;LABELS;LIBRARIES;DEFINITIONS" ${ARGN})
  set(sources ${ARG_SOURCES})
  if(ARG_SOURCES_IN)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SOURCES_IN}/*_test.cc)
    list(APPEND sources ${found})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${sources})
  kindred_link(${name} ${ARG_MODULES})
  target_link_libraries(${name} PRIVATE GTest::gtest GTest::gmock GTest::gtest_main ${ARG_LIBRARIES})
  target_compile_definitions(${name} PRIVATE KINDRED_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                             KINDRED_BINARY_DIR="${PROJECT_BINARY_DIR}" ${ARG_DEFINITIONS})
  if(ARG_RANKS)
    add_test(NAME ${name} COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe -np ${ARG_RANKS} $<TARGET_FILE:${name}>)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${ARG_RANKS}
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=1")
    return()
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${name}." TEST_LIST ${name}_list DISCOVERY_MODE PRE_TEST
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT OMP_WAIT_POLICY=passive)
  # gtest_discover_tests takes a list of labels apart; CTest reads this after it has discovered the tests.
  set(labels ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake)
  file(CONFIGURE OUTPUT ${labels} @ONLY CONTENT "set_tests_properties(\${@name@_list} PROPERTIES LABELS \"@ARG_LABELS@\")\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${labels})
endfunction()

# The fuzz target fuzz/NAME_fuzz.cc over the inputs in fuzz/corpus/NAME. Always a test that replays and mutates the
# corpus; with KINDRED_FUZZ (clang) also the program NAME_fuzz, which libFuzzer drives.
function(kindred_fuzz name)
  cmake_parse_arguments(ARG "" "" "MODULES" ${ARGN})
  set(target ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name}_fuzz.cc)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  kindred_test(${name}_fuzz_replay SOURCES ${target} fuzz/replay_test.cc MODULES ${ARG_MODULES} LABELS fast fuzz
               DEFINITIONS KINDRED_CORPUS="${corpus}")
  if(KINDRED_FUZZ)
    add_executable(${name}_fuzz ${target})
    kindred_link(${name}_fuzz ${ARG_MODULES})
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()
