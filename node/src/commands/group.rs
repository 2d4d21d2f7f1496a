//! Groups of commands, as the documentation and the ACL categories name them.

/// Groups of the documentation; most are ACL categories too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Generic,
    String,
    Connection,
    Server,
    Transactions,
    Cluster,
    Hash,
    List,
    Set,
    SortedSet,
    Stream,
    Bitmap,
    HyperLogLog,
    Geo,
    PubSub,
    Scripting,
}

impl Group {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Geo => "geo",
            Self::PubSub => "pubsub",
            Self::Scripting => "scripting",
            Self::Generic => "generic",
            Self::String => "string",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Transactions => "transactions",
            Self::Cluster => "cluster",
        }
    }

    /// The ACL category of the group's commands.
    pub fn category(self) -> Option<&'static str> {
        match self {
            Self::Generic => Some("keyspace"),
            Self::String => Some("string"),
            Self::Connection => Some("connection"),
            Self::Transactions => Some("transaction"),
            Self::SortedSet => Some("sortedset"),
            Self::Hash
            | Self::List
            | Self::Set
            | Self::Stream
            | Self::Bitmap
            | Self::HyperLogLog
            | Self::Geo
            | Self::Scripting => Some(self.name()),
            // The commands of `PubSub` that concern channels say so by their flag.
            Self::Server | Self::Cluster | Self::PubSub => None,
        }
    }
}
