package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlign;
import dev.longalign.onnx.OnnxTextEncoder;
import dev.longalign.text.TextEncoder;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a process that samples does beside it: whom it asks, where it writes, how it ends. */
@EnabledOnOs(OS.LINUX)
@Timeout(value = 5, unit = TimeUnit.MINUTES)
final class ProcessTest {
  /** Lines of names and of numbers; Ip's and Ip6's are packets sent, and those without a route. */
  private static final Pattern SENT =
      Pattern.compile("(OutRequests|OutNoRoutes|ActiveOpens|OutDatagrams|Ip6Out\\w+)\\s+(\\d+)");

  @TempDir Path temp;
  private Path home;
  private Path tmp;
  private Path work;

  @BeforeEach
  void makeFolders() throws IOException {
    home = Files.createDirectory(temp.resolve("home"));
    tmp = Files.createDirectory(temp.resolve("tmp"));
    work = Files.createDirectory(temp.resolve("work"));
  }

  /** One picture with the embedded model: CLIP, T5, UNet, VAE. */
  static final class OnePicture {
    public static void main(String[] args) throws IOException {
      try (LongAlign longAlign = LongAlign.builder().build()) {
        longAlign.sample(Engines.quick(0, 1).build()).save(Path.of("out.png"));
      }
    }
  }

  /** What a library that calls home does. */
  static final class CallsHome {
    public static void main(String[] args) throws IOException {
      InetAddress somewhere = InetAddress.getByAddress(new byte[] {(byte) 192, 0, 2, 1});
      if (args[0].equals("udp")) {
        try (DatagramSocket socket = new DatagramSocket()) {
          socket.send(new DatagramPacket(new byte[1], 1, somewhere, 53));
        } catch (IOException unreachable) {
          System.out.println(unreachable);
        }
      } else {
        try (Socket socket = new Socket()) {
          socket.connect(new InetSocketAddress(somewhere, 443), 100);
        } catch (IOException unreachable) {
          System.out.println(unreachable);
        }
      }
    }
  }

  /** Ends in the middle of runs of ONNX Runtime on three threads. */
  static final class EndsInARun {
    public static void main(String[] args) throws Exception {
      CountDownLatch running = new CountDownLatch(3);
      Path model = EmbeddedModel.directory();
      for (int i = 0; i < 3; i++) {
        boolean t5 = i == 0;
        Thread thread =
            new Thread(
                () -> {
                  try (TextEncoder encoder =
                      t5
                          ? OnnxTextEncoder.t5(model.resolve("t5"), 1)
                          : OnnxTextEncoder.clip(model.resolve("text_encoder"), 1)) {
                    while (true) {
                      encoder.encode(new int[4][64]);
                      running.countDown();
                    }
                  }
                });
        thread.setDaemon(true);
        thread.start();
      }
      running.await();
      if (args[0].equals("exit")) {
        System.exit(0);
      }
      new ProcessBuilder("kill", "-" + args[0], "" + ProcessHandle.current().pid()).start();
      Thread.sleep(60_000);
    }
  }

  @Test
  void writesNothingOutsideOfItsCache() throws Exception {
    run(0, List.of(), OnePicture.class, "-Duser.home=" + home);
    assertThat(files()).contains("work/out.png").allMatch(this::isExpected);
  }

  private boolean isExpected(String file) {
    return file.equals("work/out.png") || file.startsWith("home/.cache/longalign/");
  }

  /** As with {@code docker run -u 54321}: no entry in the list of users, no variable. */
  @Test
  void withoutAHomeItLeavesNothing() throws Exception {
    home = null;
    run(0, List.of(), OnePicture.class, "-Duser.home=?");
    assertThat(files()).containsExactly("work/out.png");
  }

  /** In a network of its own, whose counters see every attempt. */
  @Test
  void asksNobody() throws Exception {
    assumeTrue(
        new ProcessBuilder("unshare", "-rn", "true").start().waitFor() == 0,
        "unshare -rn, for a network that counts");
    assertThat(packets(CallsHome.class, "udp")).isPositive();
    assertThat(packets(CallsHome.class, "tcp")).isPositive();
    assertThat(packets(OnePicture.class)).isZero();
  }

  private long packets(Class<?> main, String... arguments) throws Exception {
    String counters = "\"$@\" && cat /proc/net/snmp /proc/net/snmp6";
    List<String> alone = List.of("unshare", "-rn", "sh", "-c", counters, "sh");
    String output = run(0, alone, main, sharedCache(), arguments);
    long packets = 0;
    List<String> lines = output.lines().toList();
    for (int i = 0; i + 1 < lines.size(); i++) {
      String[] names = lines.get(i).split(" ");
      String[] values = lines.get(i + 1).split(" ");
      if (names[0].matches("(Ip|Tcp|Udp):") && names[0].equals(values[0])) {
        for (int j = 1; j < names.length; j++) {
          packets += count(names[j] + " " + values[j]);
        }
        i++;
      } else {
        packets += count(lines.get(i));
      }
    }
    return packets;
  }

  private static long count(String counter) {
    Matcher sent = SENT.matcher(counter);
    return sent.matches() ? Long.parseLong(sent.group(2)) : 0;
  }

  @ParameterizedTest
  @ValueSource(strings = {"exit 0", "exit 0", "TERM 143", "INT 130"})
  void endsInTheMiddleOfARun(String way) throws Exception {
    String[] wayAndCode = way.split(" ");
    int code = Integer.parseInt(wayAndCode[1]);
    assumeTrue(code != 130 || !ignoresInterrupts(), "Ctrl-C is ignored in this shell");
    run(code, List.of(), EndsInARun.class, sharedCache(), wayAndCode[0]);
    assertThat(files()).isEmpty(); // a crash leaves its report
  }

  /** As what a shell started in the background does, and passes on to its children. */
  private static boolean ignoresInterrupts() throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      return lines
          .filter(line -> line.startsWith("SigIgn:"))
          .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & 2) != 0);
    }
  }

  /** Saves unpacking where that is not the question. */
  private static String sharedCache() {
    return "-Dlongalign.cache=" + EmbeddedModel.cacheRoot();
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.walk(temp)) {
      return files
          .filter(file -> !Files.isDirectory(file) || file.getParent().equals(tmp))
          .map(file -> temp.relativize(file).toString())
          .toList();
    }
  }

  private String run(
      int code, List<String> wrapper, Class<?> main, String property, String... arguments)
      throws Exception {
    List<String> command = new ArrayList<>(wrapper);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-Xmx512m"));
    command.addAll(List.of(property, "-Djava.io.tmpdir=" + tmp));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder =
        new ProcessBuilder(command).directory(work.toFile()).redirectErrorStream(true);
    String path = builder.environment().get("PATH");
    builder.environment().clear();
    builder.environment().put("PATH", path);
    builder.environment().put("TMPDIR", tmp.toString());
    if (home != null) {
      builder.environment().put("HOME", home.toString());
    }
    Path output = Files.createTempFile("longalign-child-", ".txt");
    try {
      Process process = builder.redirectOutput(output.toFile()).start();
      assertThat(process.waitFor(4, TimeUnit.MINUTES)).isTrue();
      String text = Files.readString(output, StandardCharsets.UTF_8);
      assertThat(process.exitValue()).as(text).isEqualTo(code);
      return text;
    } finally {
      Files.deleteIfExists(output);
    }
  }
}
