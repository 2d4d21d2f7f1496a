//! Actions on members, over RESP. What a member answers goes into the monitor's table, so that the
//! next pass sees it without waiting for a heartbeat.

use super::{ApplyError, Hands, Outcome};
use crate::observe::ImportState;
use crate::observe::monitor::{ask_status, status};
use crate::plan::Member;
use futures::future::join_all;
use protocol::admin::AdminRequest;
use protocol::client::{Client, ClientError};
use protocol::resp::Reply;
use protocol::topology::Topology;
use std::time::Duration;

/// A member that has not answered by then is left out; a promotion must not wait for it longer.
const DEADLINE: Duration = Duration::from_millis(500);

/// How long a primary pauses writes for a planned hand-over, at most, in milliseconds.
const HANDOVER_TIMEOUT_MS: u64 = 2000;

async fn connect(hands: &Hands<'_>, member: &Member, deadline: Duration) -> Connected {
    Client::connect_as_system(&member.address, hands.password, deadline).await
}

type Connected = Result<Client, ClientError>;

async fn ask(client: &mut Client, request: &AdminRequest) -> Result<Reply, ClientError> {
    let arguments = request.to_arguments();
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    client.call(&arguments).await
}

/// Collects what failed.
fn errors(act: &'static str, results: Vec<(&Member, Result<(), ClientError>)>) -> Outcome {
    let failed = results.into_iter().filter_map(|(member, result)| {
        let source = result.err()?;
        Some(ApplyError::Member {
            act,
            member: member.name.clone(),
            source,
        })
    });
    Outcome {
        errors: failed.collect(),
        ..Outcome::default()
    }
}

pub async fn promise(hands: &Hands<'_>, epoch: u64, members: &[Member]) -> Outcome {
    let asked = members.iter().map(|member| async move {
        match promise_one(hands, epoch, member).await {
            refused @ Err(ClientError::Refused { .. }) => (member, refused),
            // The table knows now that it is not there; whether the others are enough is for the
            // next pass to say.
            Err(error) => {
                hands.table.failed(&member.name, &error);
                (member, Ok(()))
            }
            Ok(()) => (member, Ok(())),
        }
    });
    errors("asking for the promise of", join_all(asked).await)
}

async fn promise_one(hands: &Hands<'_>, epoch: u64, member: &Member) -> Result<(), ClientError> {
    let mut client = connect(hands, member, DEADLINE).await?;
    let promised = ask_status(&mut client, &AdminRequest::Promise { epoch }.to_arguments()).await;
    match promised {
        Ok(promised) => hands.table.heard(&member.name, promised),
        Err(refused) => {
            // It has promised more; the next pass has to see that.
            hands
                .table
                .heard(&member.name, status(&mut client, false).await?);
            return Err(refused);
        }
    }
    Ok(())
}

pub async fn hand_over(
    hands: &Hands<'_>,
    epoch: u64,
    from: &Member,
    to: &str,
    members: &[Member],
) -> Outcome {
    let request = AdminRequest::Handover {
        member: to.to_owned(),
        timeout_ms: HANDOVER_TIMEOUT_MS,
    };
    let deadline = Duration::from_millis(HANDOVER_TIMEOUT_MS) + DEADLINE;
    let paused = async {
        let mut client = connect(hands, from, deadline).await?;
        ask(&mut client, &request).await
    };
    match paused.await {
        Ok(_) => promise(hands, epoch, members).await,
        Err(error) => errors("handing over from", vec![(from, Err(error))]),
    }
}

pub async fn push(hands: &Hands<'_>, members: &[Member]) -> Outcome {
    let Some(topology) = hands.topology else {
        return Outcome::default();
    };
    let request = AdminRequest::TopologySet(Box::new(topology.clone()));
    let request = &request;
    let pushed = members.iter().map(|member| async move {
        let result = push_one(hands, request, member).await;
        if let Err(error) = &result {
            hands.table.push_refused(&member.name);
            tracing::warn!(member = member.name, %error, "the topology was not taken");
        }
    });
    // A member that is not there gets it when it is; it must not hold up the others.
    join_all(pushed).await;
    Outcome::default()
}

async fn push_one(
    hands: &Hands<'_>,
    request: &AdminRequest,
    member: &Member,
) -> Result<(), ClientError> {
    let mut client = connect(hands, member, DEADLINE).await?;
    ask(&mut client, request).await?;
    hands
        .table
        .heard(&member.name, status(&mut client, false).await?);
    Ok(())
}

pub async fn ask_topology(hands: &Hands<'_>, members: &[Member]) -> Outcome {
    let asked = members.iter().map(|member| async move {
        let found = topology_of(hands, member).await;
        (member, found)
    });
    let mut outcome = Outcome::default();
    for (member, found) in join_all(asked).await {
        match found {
            Ok(found) => drop(outcome.found.insert(member.name.clone(), found)),
            Err(source) => outcome.errors.push(ApplyError::Member {
                act: "asking for the topology of",
                member: member.name.clone(),
                source,
            }),
        }
    }
    // An incomplete answer could hide the newest topology.
    if !outcome.errors.is_empty() {
        outcome.found.clear();
    }
    outcome
}

async fn topology_of(hands: &Hands<'_>, member: &Member) -> Result<Option<Topology>, ClientError> {
    let mut client = connect(hands, member, DEADLINE).await?;
    let reply = ask(&mut client, &AdminRequest::TopologyGet).await?;
    let Some(json) = reply.as_bytes() else {
        return Ok(None);
    };
    serde_json::from_slice(json)
        .map(Some)
        .map_err(|error| ClientError::Refused {
            address: member.address.clone(),
            text: format!("its topology is not understood: {error}"),
        })
}

pub async fn ask_import(hands: &Hands<'_>, id: &str, target: &Member) -> Outcome {
    let answered = async {
        let mut client = connect(hands, target, DEADLINE).await?;
        ask(
            &mut client,
            &AdminRequest::ImportStatus { id: id.to_owned() },
        )
        .await
    };
    match answered.await {
        Ok(reply) => {
            let state = match reply.as_bytes().unwrap_or_default() {
                b"owned" => ImportState::Owned,
                b"importing" => ImportState::Importing,
                b"aborted" => ImportState::Aborted,
                _ => ImportState::Nothing,
            };
            let mut outcome = Outcome::default();
            outcome.imports.insert(id.to_owned(), state);
            outcome
        }
        Err(error) => {
            // It may not be primary any more; the next pass knows better whom to ask.
            tracing::debug!(member = target.name, %error, id, "the target does not say");
            let mut outcome = Outcome::default();
            outcome.imports.insert(id.to_owned(), ImportState::Nothing);
            outcome
        }
    }
}
