package dev.cube.guest;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A watch through a channel, which bounds what the guest can make the host keep. */
final class AgentWatcher implements GuestWatcher {
    /** Of one answer; the rest waits for the next. */
    private static final int MAX_BYTES = 1 << 20;

    private final AgentConnection connection;
    private final Channel channel;

    AgentWatcher(AgentConnection connection, Channel channel) {
        this.connection = connection;
        this.channel = channel;
    }

    @Override
    public List<FileEvent> next(Duration patience) {
        return connection.checked(() -> {
            var events = new ArrayList<FileEvent>();
            int size = 0;
            Optional<Channel.Item> item = channel.next(patience);
            while (item.isPresent()) {
                switch (item.get()) {
                    case Channel.Item.Data(int _, byte[] bytes) -> {
                        events.add(decode(bytes));
                        size += bytes.length + Wire.DATA_OVERHEAD;
                    }
                    case Channel.Item.End _, Channel.Item.Done _ ->
                            throw new ProtocolViolation("a watch that ends by itself");
                }
                item = size < MAX_BYTES && channel.hasNext() ? channel.next(Duration.ZERO) : Optional.empty();
            }
            return events;
        });
    }

    private static FileEvent decode(byte[] bytes) {
        var reply = new Reply(bytes);
        FileEvent event = reply.fileEvent();
        reply.end();
        return event;
    }

    @Override
    public void close() {
        channel.close();
    }
}
