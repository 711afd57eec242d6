//! One lease for each image: what is written under it stays until it ends.

use std::time::Duration;

use containerd_client::{
    services::v1::{CreateRequest, DeleteRequest, leases_client::LeasesClient},
    tonic::{
        Code, Request, Status,
        metadata::{Ascii, MetadataValue},
        transport::Channel,
    },
};
use onepull_mirror::Digest;

use crate::containerd::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// A small entry in containerd's database, synced to its disk.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a person reads in `ctr leases list`: whose the lease is, and what for.
const LABEL: &str = "onepull.dev/keeps-image";

/// Makes the lease of an image unless it is there, from an earlier run perhaps. Returns its name.
pub(super) async fn ensure(
    channel: Channel,
    image: &Digest,
) -> Result<MetadataValue<Ascii>, ContainerdError> {
    const STEP: &str = "make a lease";
    let id = id(image);
    let no_header = |_| ContainerdError::call(STEP, Status::invalid_argument(id.clone()));
    let name = id.parse().map_err(no_header)?;
    let labels = [(LABEL.to_owned(), image.to_string())].into();
    let request = CreateRequest { id: id.clone(), labels };
    let mut client = LeasesClient::new(channel);
    match answer(STEP, DEADLINE, client.create(in_namespace(request))).await {
        Err(error) if error.code() != Some(Code::AlreadyExists) => Err(error),
        _ => Ok(name),
    }
}

/// Ends the lease of an image, if there is one; what it kept goes when containerd next collects.
pub(super) async fn end(channel: Channel, image: &Digest) -> Result<(), ContainerdError> {
    let request = DeleteRequest { id: id(image), sync: false };
    let mut client = LeasesClient::new(channel);
    match answer("end a lease", DEADLINE, client.delete(in_namespace(request))).await {
        Err(error) if error.code() != Some(Code::NotFound) => Err(error),
        _ => Ok(()),
    }
}

/// Has what a request makes kept by a lease.
pub(super) fn under<T>(lease: MetadataValue<Ascii>, mut request: Request<T>) -> Request<T> {
    request.metadata_mut().insert("containerd-lease", lease);
    request
}

fn id(image: &Digest) -> String {
    format!("onepull-{image}")
}
