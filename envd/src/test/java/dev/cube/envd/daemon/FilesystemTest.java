package dev.cube.envd.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Base64;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class FilesystemTest extends EnvdFixture {
    private static final String FILESYSTEM = "/filesystem.Filesystem/";

    @BeforeEach
    void writeAFile() throws Exception {
        Files.writeString(root.resolve("home/user/a.txt"), "hello");
        Files.setPosixFilePermissions(root.resolve("home/user/a.txt"), PosixFilePermissions.fromString("rw-r--r--"));
    }

    private HttpResponse<String> call(String method, String body, String... headers) throws Exception {
        return server.json(FILESYSTEM + method, body, headers);
    }

    @Test
    void describesAFile() throws Exception {
        assertThat(call("Stat", "{\"path\":\"a.txt\"}").body()).isEqualTo("{\"entry\":{\"name\":\"a.txt\","
                + "\"type\":\"FILE_TYPE_FILE\",\"path\":\"/home/user/a.txt\",\"size\":\"5\",\"mode\":420,"
                + "\"permissions\":\"-rw-r--r--\",\"owner\":\"user\",\"group\":\"user\","
                + "\"modifiedTime\":\"2023-11-14T22:13:20.000000005Z\"}}");
    }

    @Test
    void describesALinkByWhatItLeadsTo() throws Exception {
        Files.createDirectories(root.resolve("srv/real"));
        Files.createSymbolicLink(root.resolve("srv/link"), Path.of("real"));
        Files.createSymbolicLink(root.resolve("home/user/far"), Path.of("/srv/link/../link"));
        assertThat(call("Stat", "{\"path\":\"~/far\"}").body()).contains("\"type\":\"FILE_TYPE_DIRECTORY\"",
                "\"permissions\":\"Lrwxrwxrwx\"", "\"symlinkTarget\":\"/srv/real\"", "\"path\":\"/home/user/far\"");

        Files.createSymbolicLink(root.resolve("home/user/dangling"), Path.of("nothing"));
        assertThat(call("Stat", "{\"path\":\"dangling\"}").body())
                .contains("\"symlinkTarget\":\"/home/user/dangling\"").doesNotContain("\"type\"");
    }

    @Test
    void listsThroughALinkByTheNameAsked() throws Exception {
        Files.createDirectories(root.resolve("srv/real/sub/deep"));
        Files.createSymbolicLink(root.resolve("home/user/link"), Path.of("/srv/real"));
        String one = call("ListDir", "{\"path\":\"link\"}").body();
        assertThat(one).contains("\"path\":\"/home/user/link/sub\"").doesNotContain("deep");
        assertThat(call("ListDir", "{\"path\":\"/home/user/link\",\"depth\":5}").body())
                .contains("\"path\":\"/home/user/link/sub/deep\"");
    }

    @Test
    void followsNoCircles() throws Exception {
        Files.createSymbolicLink(root.resolve("home/user/x"), Path.of("y"));
        Files.createSymbolicLink(root.resolve("home/user/y"), Path.of("x"));
        HttpResponse<String> circle = call("ListDir", "{\"path\":\"x\"}");
        assertThat(circle.statusCode()).isEqualTo(400);
        assertThat(circle.body()).contains("failed_precondition", "cyclic symlink");
    }

    @Test
    void tellsWhatIsNotThereFromWhatIsInTheWay() throws Exception {
        assertThat(call("Stat", "{\"path\":\"no\"}").statusCode()).isEqualTo(404);
        assertThat(call("ListDir", "{\"path\":\"no\"}").body()).contains("\"not_found\"");
        assertThat(call("ListDir", "{\"path\":\"a.txt\"}").body())
                .contains("\"invalid_argument\"", "path is not a directory: /home/user/a.txt");
        assertThat(call("MakeDir", "{\"path\":\"/home/user\"}").statusCode()).isEqualTo(409);
        assertThat(call("MakeDir", "{\"path\":\"a.txt\"}").body())
                .contains("\"invalid_argument\"", "path already exists but it is not a directory");
        assertThat(call("Move", "{\"source\":\"no\",\"destination\":\"b\"}").statusCode()).isEqualTo(404);
    }

    @Test
    void makesMovesAndRemoves() throws Exception {
        assertThat(call("MakeDir", "{\"path\":\"d/e\"}").body()).contains("\"path\":\"/home/user/d/e\"",
                "FILE_TYPE_DIRECTORY", "\"permissions\":\"drwx");
        assertThat(call("Move", "{\"source\":\"a.txt\",\"destination\":\"d/b.txt\"}").body())
                .contains("\"path\":\"/home/user/d/b.txt\"");
        assertThat(root.resolve("home/user/d/b.txt")).hasContent("hello");
        assertThat(call("Remove", "{\"path\":\"d\"}").body()).isEqualTo("{}");
        assertThat(root.resolve("home/user/d")).doesNotExist();
        assertThat(call("Remove", "{\"path\":\"d\"}").statusCode()).isEqualTo(200);
    }

    @Test
    void refusesUnknownUsersAndOddPaths() throws Exception {
        String nobody = "Basic " + Base64.getEncoder().encodeToString("nobody:".getBytes());
        HttpResponse<String> refused = call("Stat", "{\"path\":\"/\"}", "Authorization", nobody);
        assertThat(refused.statusCode()).isEqualTo(401);
        assertThat(refused.body()).contains("\"unauthenticated\"", "invalid username: 'nobody'");
        assertThat(call("Stat", "{\"path\":\"~root/x\"}").body())
                .contains("\"invalid_argument\"", "cannot expand user-specific home dir");
        assertThat(call("Stat", "{\"path\":\"/a\\u0000b\"}").body()).contains("\"invalid_argument\"");
        String root = "Basic " + Base64.getEncoder().encodeToString("root:x".getBytes());
        assertThat(call("Stat", "{\"path\":\"\"}", "Authorization", root).body()).contains("\"path\":\"/root\"");
    }

    @Test
    void noNameAndTheEmptyNameAreNotTheSame() throws Exception {
        String empty = "Basic " + Base64.getEncoder().encodeToString(":".getBytes());
        assertThat(call("Stat", "{\"path\":\"~\"}").body()).contains("\"path\":\"/home/user\"");
        assertThat(call("Stat", "{\"path\":\"/\"}", "Authorization", empty).statusCode()).isEqualTo(401);
        assertThat(call("MakeDir", "{\"path\":\"/d\"}", "Authorization", empty).statusCode()).isEqualTo(401);
    }
}
