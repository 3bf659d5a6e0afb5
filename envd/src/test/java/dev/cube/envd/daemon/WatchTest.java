package dev.cube.envd.daemon;

import static dev.cube.envd.daemon.EnvdServer.readFrame;
import static dev.cube.envd.daemon.EnvdServer.readFrames;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.cube.guest.FileEvent.Type;
import dev.cube.guest.GuestException.Kind;
import dev.cube.guest.GuestWatcher.Option;
import java.io.InputStream;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class WatchTest extends EnvdFixture {
    private static final String SERVICE = "/filesystem.Filesystem/";
    private static final String START = "{\"start\":{}}";

    private InputStream watchDir(String request, String... headers) throws Exception {
        return server.jsonStream(SERVICE + "WatchDir", request, headers).body();
    }

    private HttpResponse<String> call(String method, String body) throws Exception {
        return server.json(SERVICE + method, body);
    }

    private ScriptedWatcher watcher() throws InterruptedException {
        return guest.watchers.poll(30, TimeUnit.SECONDS);
    }

    /** Makes a watcher and gives its ID as the body of the other calls. */
    private String create(String request) throws Exception {
        return call("CreateWatcher", request).body();
    }

    @Test
    void streamsWhatHappens() throws Exception {
        InputStream events = watchDir("{\"path\":\"~\",\"recursive\":true}");
        assertThat(readFrame(events)).contains(START);
        ScriptedWatcher watcher = watcher();
        assertThat(watcher.path).isEqualTo("/home/user");
        assertThat(watcher.options).containsExactly(Option.RECURSIVE);
        watcher.sees(Type.CREATE, "a").sees(Type.WRITE, "a").sees(Type.CHMOD, "a").sees(Type.RENAME, "d/a")
                .sees(Type.REMOVE, ".");
        for (String expected : new String[] {"a\",\"type\":\"EVENT_TYPE_CREATE", "a\",\"type\":\"EVENT_TYPE_WRITE",
            "a\",\"type\":\"EVENT_TYPE_CHMOD", "d/a\",\"type\":\"EVENT_TYPE_RENAME",
            ".\",\"type\":\"EVENT_TYPE_REMOVE"}) {
            assertThat(readFrame(events)).contains("{\"filesystem\":{\"name\":\"" + expected + "\"}}");
        }
        watcher.fails(Kind.INTERNAL, "watcher error: too much");
        assertThat(readFrames(events)).singleElement().asString().contains("\"internal\"", "watcher error: too much");
        assertThat(watcher.closed).isTrue();
    }

    @Test
    void describesEntries() throws Exception {
        Files.writeString(root.resolve("home/user/f"), "123");
        InputStream events = watchDir("{\"path\":\"/home/user\",\"includeEntry\":true,\"allowNetworkMounts\":true}");
        assertThat(readFrame(events)).isPresent();
        ScriptedWatcher watcher = watcher();
        assertThat(watcher.options).containsExactlyInAnyOrder(Option.ENTRIES, Option.NETWORK_MOUNTS);
        watcher.sees(Type.WRITE, "f", guest.stat("/home/user/f"));
        assertThat(readFrame(events).orElseThrow()).contains("\"entry\":{", "\"path\":\"/home/user/f\"",
                "\"size\":\"3\"");
    }

    @Test
    void keepsAnIdleStreamAliveUntilItsTimeIsUp() throws Exception {
        InputStream events = watchDir("{\"path\":\"/\"}", "Keepalive-Ping-Interval", "1", "Connect-Timeout-Ms", "1500");
        assertThat(readFrame(events)).contains(START);
        assertThat(readFrame(events)).contains("{\"keepalive\":{}}");
        assertThat(readFrames(events)).singleElement().asString().contains("deadline_exceeded");
        assertThat(watcher().closed).isTrue();
    }

    @Test
    void aClientThatIsGoneIsNotWatchedFor() throws Exception {
        InputStream events = watchDir("{\"path\":\"/\"}");
        assertThat(readFrame(events)).contains(START);
        events.close();
        ScriptedWatcher watcher = watcher();
        await().until(() -> watcher.closed);
    }

    @Test
    void eventsAreFetched() throws Exception {
        String id = create("{\"path\":\"/home\"}");
        ScriptedWatcher watcher = watcher();
        assertThat(call("GetWatcherEvents", id).body()).isEqualTo("{}");
        watcher.sees(Type.CREATE, "a").sees(Type.REMOVE, "a");
        assertThat(call("GetWatcherEvents", id).body()).isEqualTo("{\"events\":["
                + "{\"name\":\"a\",\"type\":\"EVENT_TYPE_CREATE\"},{\"name\":\"a\",\"type\":\"EVENT_TYPE_REMOVE\"}]}");
        assertThat(call("GetWatcherEvents", id).body()).isEqualTo("{}");

        watcher.fails(Kind.INTERNAL, "watcher error: too much");
        assertThat(call("GetWatcherEvents", id).body()).contains("\"internal\"");
        assertThat(call("RemoveWatcher", id).body()).isEqualTo("{}");
        assertThat(watcher.closed).isTrue();
        assertThat(call("RemoveWatcher", id).statusCode()).isEqualTo(404);
        assertThat(call("GetWatcherEvents", id).body()).contains("\"not_found\"", "watcher with id w");
    }

    @Test
    void aRestoredSandboxHasNoWatchers() throws Exception {
        String id = create("{\"path\":\"/\"}");
        server.agent = new FakeGuest(root);
        assertThat(call("GetWatcherEvents", id).statusCode()).isEqualTo(404);
    }

    @Test
    void refusesWhatIsNoDirectory() throws Exception {
        Files.createFile(root.resolve("home/user/f"));
        assertThat(readFrames(watchDir("{\"path\":\"no\"}"))).singleElement().asString()
                .contains("\"not_found\"", "path /home/user/no not found");
        assertThat(readFrames(watchDir("{\"path\":\"f\"}"))).singleElement().asString()
                .contains("\"invalid_argument\"", "not a directory");
        assertThat(call("CreateWatcher", "{\"path\":\"no\"}").statusCode()).isEqualTo(404);
        assertThat(call("CreateWatcher", "{\"path\":\"f\"}").statusCode()).isEqualTo(400);
    }
}
