"""The types of schema.org (https://schema.org/docs/full.html, release 30.0), by what their images show."""

from collections.abc import Collection
from enum import IntEnum


class Relevance(IntEnum):
    """How likely the image of a node is the cover, most likely first."""

    MAIN = 0  # the thing that the page is about: a product or a creative work, or a node without a type
    OTHER = 1  # a thing of any other type, such as an event or a place
    WEB_PAGE = 2  # the page itself, whose image may stand for the thing
    NONE = 3  # a person, an organisation, the site or a part of its pages: the image is a portrait or a logo


def _types(names: str) -> frozenset[str]:
    return frozenset(names.lower().split())


#: Product and CreativeWork with their kinds, without those in the other sets.
_MAIN = _types("""
    3DModel AdvertiserContentArticle AmpStory AnalysisNewsArticle Answer APIReference ArchiveComponent Article
    AskPublicNewsArticle Atlas Audiobook AudioObject AudioObjectSnapshot BackgroundNewsArticle Barcode Blog
    BlogPosting Book BookSeries BusOrCoach Car CategoryCodeSet Certification Chapter Claim ClaimReview Clip Code
    Collection ComicCoverArt ComicIssue ComicSeries ComicStory Comment CompleteDataFeed Conversation
    CorrectionComment Course CoverArt CreativeWorkSeason CreativeWorkSeries Credential CriticReview DataCatalog
    DataDownload DataFeed Dataset DefinedTermSet Diet DietarySupplement DigitalDocument DiscussionForumPosting
    Drawing Drug EducationalOccupationalCredential EmailMessage EmployerReview Episode ExercisePlan Game Guide
    HealthTopicContent HowTo HowToDirection HowToSection HowToStep HowToTip HyperToc HyperTocEntry ImageObject
    ImageObjectSnapshot IndividualProduct LearningResource Legislation LegislationObject LiveBlogPosting
    Manuscript Map MathSolver MediaObject MediaReview MediaReviewItem MedicalScholarlyArticle Menu MenuSection
    Message MobileApplication Motorcycle MotorizedBicycle Movie MovieClip MovieSeries MusicAlbum
    MusicComposition MusicPlaylist MusicRecording MusicRelease MusicVideoObject NewsArticle Newspaper
    NoteDigitalDocument OperatingSystem OpinionNewsArticle Painting Periodical Photograph Play PodcastEpisode
    PodcastSeason PodcastSeries Poster PresentationDigitalDocument Product ProductCollection ProductGroup
    ProductModel PublicationIssue PublicationVolume Question Quiz Quotation RadioClip RadioEpisode RadioSeason
    RadioSeries Recipe Recommendation Report ReportageNewsArticle Review ReviewNewsArticle RuntimePlatform
    SatiricalArticle ScholarlyArticle Sculpture Season SequentialArt SheetMusic ShortStory SocialMediaPosting
    SoftwareApplication SoftwareSourceCode SomeProducts SpecialAnnouncement SpreadsheetDigitalDocument Statement
    Syllabus TechArticle TextDigitalDocument TextObject Thesis TVClip TVEpisode TVSeason TVSeries UserReview
    Vehicle VideoGame VideoGameClip VideoGameSeries VideoObject VideoObjectSnapshot VisualArtwork WebApplication
    WebContent
""")
_WEB_PAGES = _types("""
    AboutPage CheckoutPage CollectionPage ContactPage FAQPage ImageGallery ItemPage MediaGallery MedicalWebPage
    ProfilePage QAPage RealEstateListing SearchResultsPage VideoGallery WebPage
""")
#: Person and Organization with their kinds, WebSite, WebPageElement and Rating with their kinds, and navigation.
_IRRELEVANT = _types("""
    AccountingService AdultEntertainment Airline AmusementPark AnimalShelter ArchiveOrganization ArtGallery
    Attorney AutoBodyShop AutoDealer AutomatedTeller AutomotiveBusiness AutoPartsStore AutoRental AutoRepair
    AutoWash Bakery BankOrCreditUnion BarOrPub BeautySalon BedAndBreakfast BikeStore BookStore BowlingAlley
    Brewery CafeOrCoffeeShop Campground Casino ChildCare ClothingStore CollegeOrUniversity ComedyClub
    CommunityHealth ComputerStore Consortium ConvenienceStore Cooperative Corporation CovidTestingFacility
    DanceGroup DaySpa Dentist DepartmentStore Dermatology DiagnosticLab DietNutrition Distillery
    DryCleaningOrLaundry EducationalOrganization Electrician ElectronicsStore ElementarySchool Emergency
    EmergencyService EmploymentAgency EntertainmentBusiness ExerciseGym FastFoodRestaurant FinancialService
    FireStation Florist FoodEstablishment FundingAgency FundingScheme FurnitureStore GardenStore GasStation
    GeneralContractor Geriatric GolfCourse GovernmentOffice GovernmentOrganization GroceryStore Gynecologic
    HairSalon HardwareStore HealthAndBeautyBusiness HealthClub HighSchool HobbyShop HomeAndConstructionBusiness
    HomeGoodsStore Hospital Hostel Hotel HousePainter HVACBusiness IceCreamShop IndividualPhysician
    InsuranceAgency InternetCafe JewelryStore LegalService Library LibrarySystem LiquorStore LocalBusiness
    Locksmith LodgingBusiness MedicalBusiness MedicalClinic MedicalOrganization MensClothingStore MiddleSchool
    Midwifery MobilePhoneStore Motel MotorcycleDealer MotorcycleRepair MovieRentalStore MovieTheater
    MovingCompany MusicGroup MusicStore NailSalon NewsMediaOrganization NGO NightClub Notary Nursing Obstetric
    OfficeEquipmentStore Oncologic OnlineBusiness OnlineMarketplace OnlineStore Optician Optometric Organization
    Otolaryngologic OutletStore Patient PawnShop Pediatric PerformingGroup Person PetStore Pharmacy Physician
    PhysiciansOffice Physiotherapy PlasticSurgery Plumber Podiatric PoliceStation PoliticalParty PostOffice
    Preschool PrimaryCare ProfessionalService Project Psychiatric PublicHealth PublicSwimmingPool RadioStation
    RealEstateAgent RecyclingCenter ResearchOrganization ResearchProject Resort Restaurant RoofingContractor
    School SearchRescueOrganization SelfStorage ShoeStore ShoppingCenter SkiResort SportingGoodsStore
    SportsActivityLocation SportsClub SportsOrganization SportsTeam StadiumOrArena Store TattooParlor
    TelevisionStation TennisComplex TheaterGroup TireShop TouristInformationCenter ToyStore TravelAgency
    VacationRental VeterinaryCare WholesaleStore Winery WorkersUnion
    WebSite SiteNavigationElement Table WebPageElement WPAdBlock WPFooter WPHeader WPSideBar
    BreadcrumbList SearchAction Rating AggregateRating EmployerAggregateRating EndorsementRating
""")
#: Types that say no more about a node than no type.
_GENERIC = _types("Thing CreativeWork")


def local_name(term: str) -> str:
    """Return the name of a type without vocabulary, in lower case: "product" for ``https://schema.org/Product``.

    The vocabulary may also be a prefix, as in ``schema:Product``.
    """
    term = term.rstrip("/# ")
    return term[max(map(term.rfind, "/#: ")) + 1 :].lower()


def relevance_of(types: Collection[str]) -> Relevance:
    """Return the relevance of a node with these types, which are local names.

    Of several types, the one that says most counts: an article that is also a web page is an article.
    """
    names = frozenset(types)
    if names & _MAIN or names <= _GENERIC:
        return Relevance.MAIN
    if names & _IRRELEVANT:
        return Relevance.NONE
    return Relevance.WEB_PAGE if names & _WEB_PAGES else Relevance.OTHER
